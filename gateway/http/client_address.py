"""The address of the client, also behind proxies."""

from collections.abc import Sequence
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Address, ip_address

from shared.configuration.values import Network

Address = IPv4Address | IPv6Address


class ClientAddresses:
    """Trusts only those entries of `X-Forwarded-For` that trusted proxies wrote."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted
        self._of_peer = lru_cache(maxsize=1024)(partial(self._find, forwarded_for=()))

    def of(self, peer: str | None, forwarded_for: Sequence[str]) -> str:
        """The client's address; for IPv6 its /64, because one client may use all of its addresses.

        `peer` is the other end of the connection, `forwarded_for` the request's headers of
        that name.
        """
        return self._find(peer, forwarded_for) if forwarded_for else self._of_peer(peer)

    def connected_as(self, peer: str | None) -> str | None:
        """The owner of a connection. None for a trusted proxy, which serves many clients."""
        address = _address(peer or "")
        if address is not None and self._is_trusted(address):
            return None
        return self._of_peer(peer)

    def _find(self, peer: str | None, forwarded_for: Sequence[str]) -> str:
        client = _address(peer or "")
        if client is None:
            return "unknown"
        client = self._behind_proxies(client, forwarded_for)
        if isinstance(client, IPv6Address):
            return f"{IPv6Address(int(client) >> 64 << 64)}/64"
        return str(client)

    def _behind_proxies(self, peer: Address, headers: Sequence[str]) -> Address:
        # Each proxy appends the address of its client. Read from the end, the first untrusted one
        # is our client; it may have invented everything before that.
        for hop in reversed(",".join(headers).split(",")):
            if not self._is_trusted(peer):
                break
            before = _address(_without_port(hop.strip()))
            if before is None:
                break
            peer = before
        return peer

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


@lru_cache(maxsize=1024)
def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
