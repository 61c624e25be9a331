"""Who may be connected: so many in all, so many of one peer, and who has to go for another."""

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

# Seconds that everybody has to send a request, before others who came later and do so.
_PATIENCE: Final = 1.0
_BETWEEN_LINES: Final = 10.0  # seconds, of the log


class Wait(IntEnum):
    """What a connection waits for, in the order in which they have to go."""

    FIRST_REQUEST = 0
    NEXT_REQUEST = 1
    READER = 2
    """The client does not take its response."""


class Occupant(Protocol):
    def may_give_way(self) -> bool:
        """Whether nothing that was asked would be lost."""

    def give_way(self) -> None:
        """Close the connection."""


class Room:
    """Has `most` places, of which one peer takes at most `most_of_one`."""

    def __init__(self, most: int, most_of_one: int | None = None) -> None:
        self._most = most
        self._most_of_one = most if most_of_one is None else most_of_one
        self._peers: dict[Occupant, Hashable] = {}
        self._held: Counter[Hashable] = Counter()
        # Since when they wait, by the monotonic clock: each in the order in which they began.
        self._waiting: dict[Wait, dict[Occupant, float]] = {wait: {} for wait in Wait}
        self.displaced = 0

    def enter(self, occupant: Occupant, peer: Hashable) -> bool:
        """Take a place, perhaps that of somebody who waits. `peer` None is of any number."""
        if peer is not None and self._held[peer] >= self._most_of_one:
            found = self._displace(peer)
        else:
            found = len(self._peers) < self._most or self._displace(None)
        if found:
            self._peers[occupant] = peer
            self._held[peer] += 1
            self.waits(occupant, Wait.FIRST_REQUEST)
        return found

    def leave(self, occupant: Occupant) -> None:
        """Give the place back. Safe to call again."""
        if occupant in self._peers:
            self.works(occupant)
            peer = self._peers.pop(occupant)
            self._held[peer] -= 1
            if not self._held[peer]:
                del self._held[peer]

    def waits(self, occupant: Occupant, wait: Wait) -> None:
        """From now on its place can be taken."""
        if occupant in self._peers:
            self.works(occupant)
            self._waiting[wait][occupant] = monotonic()

    def works(self, occupant: Occupant) -> None:
        """From now on nobody takes its place."""
        for waiting in self._waiting.values():
            waiting.pop(occupant, None)

    def largest_peer(self) -> Hashable:
        """Who has most places; None where that may be many."""
        return max(self._held, key=self._held.__getitem__, default=None)

    def _displace(self, peer: Hashable) -> bool:
        """Close the connection of `peer`, or anybody's, that can be spared most."""
        for occupant in self._in_order():
            if peer in (None, self._peers[occupant]) and occupant.may_give_way():
                self.leave(occupant)
                self.displaced += 1
                occupant.give_way()
                return True
        return False

    def _in_order(self) -> Iterator[Occupant]:
        """Those who wait, who can be spared most first.

        Whoever began to wait a moment ago is about to ask, as likely as not: by what they wait for
        they are chosen later, and at first by how long.
        """
        late = monotonic() - _PATIENCE
        for waiting in self._waiting.values():
            for occupant, since in waiting.items():
                if since > late:
                    break
                yield occupant
        all_of_them = (waiting.items() for waiting in self._waiting.values())
        for occupant, _ in merge(*all_of_them, key=itemgetter(1)):
            yield occupant


class Door:
    """Where connections come in: to the first of `rooms` that takes them."""

    def __init__(
        self,
        name: str,
        rooms: Sequence[Room],
        peer_of: Callable[[asyncio.BaseTransport], Hashable],
        on_refused: Callable[[], object] = lambda: None,
    ) -> None:
        """`name` is for the log."""
        self.main = rooms[0]
        self._name = name
        self._rooms = rooms
        self._peer_of = peer_of
        self._on_refused = on_refused
        self._refused = 0
        self._told_at = -_BETWEEN_LINES
        self._told_of = 0

    def admit(self, occupant: Occupant, transport: asyncio.BaseTransport) -> Room | None:
        """The room in which `occupant` has a place now; None if there is none."""
        peer = self._peer_of(transport)
        for room in self._rooms:
            if room.enter(occupant, peer):
                self._tell()
                return room
        self.refused()
        return None

    def refused(self) -> None:
        """Somebody is turned away."""
        self._on_refused()
        self._refused += 1
        self._tell()

    def _tell(self) -> None:
        """Log what happened, but not each time: it is many that make a crowd."""
        displaced = sum(room.displaced for room in self._rooms)
        now = monotonic()
        if displaced + self._refused > self._told_of and now - self._told_at >= _BETWEEN_LINES:
            self._told_at, self._told_of = now, displaced + self._refused
            log.warning(
                "connections_crowded",
                at=self._name,
                displaced=displaced,
                refused=self._refused,
                most_held_by=self.main.largest_peer(),
            )
