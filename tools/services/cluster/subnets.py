"""Addresses for a private network of nodes."""

import random
from ipaddress import IPv4Address, IPv4Network
from typing import Final

_RANGE: Final = IPv4Network("198.18.0.0/15")
"""For tests of networks: in use nowhere else (RFC 2544, RFC 6890)."""
_PREFIX: Final = 28


def random_subnet() -> IPv4Network:
    """One of 8192: two clusters of one machine rarely choose the same."""
    start = int(_RANGE.network_address) + random.randrange(2 ** (_PREFIX - 15)) * 2 ** (
        32 - _PREFIX
    )
    return IPv4Network((start, _PREFIX))


def address_of(subnet: IPv4Network, node: int) -> IPv4Address:
    """Of a node, by its number from 0. The first address is that of the host."""
    return subnet.network_address + 2 + node


def address_of_host(subnet: IPv4Network) -> IPv4Address:
    return subnet.network_address + 1
