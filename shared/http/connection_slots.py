"""Limits on connections, in total and per peer, and which idle one to displace."""

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from enum import IntEnum
from heapq import merge
from operator import itemgetter
from time import monotonic
from typing import Final, Protocol

import structlog

log = structlog.get_logger(__name__)

# Seconds for which a new connection keeps its slot in any case, to send its request.
_MIN_WAIT: Final = 1.0
_BETWEEN_LINES: Final = 10.0  # seconds, of the log


class Wait(IntEnum):
    """What a connection waits for. The first of these are displaced first."""

    FIRST_REQUEST = 0
    NEXT_REQUEST = 1
    READER = 2
    """For the client to read its response."""


class Client(Protocol):
    def may_be_displaced(self) -> bool:
        """Whether a close loses no request."""

    def displace(self) -> None:
        """Close the connection."""


class ConnectionSlots:
    """`most` slots, at most `most_of_one` of them for one peer."""

    def __init__(self, most: int, most_of_one: int | None = None) -> None:
        self._most = most
        self._most_of_one = most if most_of_one is None else most_of_one
        self._peers: dict[Client, Hashable] = {}
        self._held: Counter[Hashable] = Counter()
        # The monotonic times since which they wait, oldest first.
        self._waiting: dict[Wait, dict[Client, float]] = {wait: {} for wait in Wait}
        self.displaced = 0

    def take(self, client: Client, peer: Hashable) -> bool:
        """Take a slot, displacing an idle connection if necessary. `peer` None has no own limit."""
        if peer is not None and self._held[peer] >= self._most_of_one:
            found = self._displace(peer)
        else:
            found = len(self._peers) < self._most or self._displace(None)
        if found:
            self._peers[client] = peer
            self._held[peer] += 1
            self.allow_displacing(client, Wait.FIRST_REQUEST)
        return found

    def release(self, client: Client) -> None:
        """Give the slot back. Safe to call again."""
        if client in self._peers:
            self.protect(client)
            peer = self._peers.pop(client)
            self._held[peer] -= 1
            if not self._held[peer]:
                del self._held[peer]

    def allow_displacing(self, client: Client, wait: Wait) -> None:
        """Allow this connection to be displaced."""
        if client in self._peers:
            self.protect(client)
            self._waiting[wait][client] = monotonic()

    def protect(self, client: Client) -> None:
        """Protect this connection from being displaced."""
        for waiting in self._waiting.values():
            waiting.pop(client, None)

    def largest_peer(self) -> Hashable:
        """The peer with most slots; None if those may belong to many clients."""
        return max(self._held, key=self._held.__getitem__, default=None)

    def _displace(self, peer: Hashable) -> bool:
        """Displace the most expendable connection, of `peer` if given."""
        for client in self._in_order():
            if peer in (None, self._peers[client]) and client.may_be_displaced():
                self.release(client)
                self.displaced += 1
                client.displace()
                return True
        return False

    def _in_order(self) -> Iterator[Client]:
        """The waiting connections, the most expendable first.

        A connection that began to wait only a moment ago may well be about to send a request. So
        the others come first, by what they wait for, and then all of them, by how long they wait.
        """
        late = monotonic() - _MIN_WAIT
        for waiting in self._waiting.values():
            for client, since in waiting.items():
                if since > late:
                    break
                yield client
        all_of_them = (waiting.items() for waiting in self._waiting.values())
        for client, _ in merge(*all_of_them, key=itemgetter(1)):
            yield client


class ConnectionLimiter:
    """Admits connections: each takes a slot of the first of `slots` that has a free one."""

    def __init__(
        self,
        name: str,
        slots: Sequence[ConnectionSlots],
        peer_of: Callable[[asyncio.BaseTransport], Hashable],
        on_refused: Callable[[], object] = lambda: None,
    ) -> None:
        """`name` is for the log. `peer_of` returns the peer of a new connection, or None for no
        limit per peer; `on_refused` is called for each connection that gets no slot."""
        self.main = slots[0]
        self._name = name
        self._slots = slots
        self._peer_of = peer_of
        self._on_refused = on_refused
        self._refused = 0
        self._logged_at = -_BETWEEN_LINES
        self._logged = 0

    def admit(self, client: Client, transport: asyncio.BaseTransport) -> ConnectionSlots | None:
        """The slots of which `client` now has one; None if all are taken."""
        peer = self._peer_of(transport)
        for slots in self._slots:
            if slots.take(client, peer):
                self._log_counts()
                return slots
        self.refused()
        return None

    def refused(self) -> None:
        """Count a refused connection."""
        self._on_refused()
        self._refused += 1
        self._log_counts()

    def _log_counts(self) -> None:
        """Log the counts, at most once per interval."""
        displaced = sum(slots.displaced for slots in self._slots)
        now = monotonic()
        if displaced + self._refused > self._logged and now - self._logged_at >= _BETWEEN_LINES:
            self._logged_at, self._logged = now, displaced + self._refused
            log.warning(
                "connections_crowded",
                at=self._name,
                displaced=displaced,
                refused=self._refused,
                most_held_by=self.main.largest_peer(),
            )
