"""Whose budget a request without a valid token spends."""

from ipaddress import ip_network

import pytest

from gateway.http.client_address import ClientAddresses

NOBODY = ClientAddresses(())
PROXIES = ClientAddresses((ip_network("10.0.0.0/8"), ip_network("fd00::/8")))


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, "unknown"),
        ("", "unknown"),
    ],
)
def test_a_peer_is_its_address_and_of_ipv6_its_network(peer: str | None, address: str) -> None:
    assert NOBODY.of(peer, ()) == address


def test_without_trusted_proxies_no_client_may_speak_for_another() -> None:
    assert NOBODY.of("192.0.2.7", ["198.51.100.1"]) == "192.0.2.7"


def test_a_peer_that_is_no_trusted_proxy_may_not_either() -> None:
    assert PROXIES.of("192.0.2.7", ["198.51.100.1"]) == "192.0.2.7"


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        ((), "10.0.0.1"),
        (("",), "10.0.0.1"),
        (("198.51.100.1",), "198.51.100.1"),
        (("1.1.1.1, 198.51.100.1",), "198.51.100.1"),
        (("1.1.1.1", "198.51.100.1"), "198.51.100.1"),
        (("198.51.100.1, 10.0.0.2, 10.0.0.3",), "198.51.100.1"),
        (("10.0.0.9",), "10.0.0.9"),
        (("2001:db8:1:2::9",), "2001:db8:1:2::/64"),
        (("198.51.100.1:4711",), "198.51.100.1"),
        (("[2001:db8:1:2::9]:4711",), "2001:db8:1:2::/64"),
        (("1.1.1.1, unknown",), "10.0.0.1"),
        (("1.1.1.1, <script>, 10.0.0.2",), "10.0.0.2"),
    ],
)
def test_the_client_is_the_last_hop_that_is_no_trusted_proxy(
    forwarded_for: tuple[str, ...], client: str
) -> None:
    """What stands before it, the client may have made up."""
    assert PROXIES.of("10.0.0.1", forwarded_for) == client
