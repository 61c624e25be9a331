"""A letter that was replayed, and what it asks for."""

import hashlib
from dataclasses import dataclass
from uuid import UUID

from asyncpg import Record

from shared.commands import CancelCommand
from worker.dead_letters.kinds import is_registration
from worker.messages.conversion import Undeliverable, read_as
from worker.registering.message import QueuedRun, read_registration


@dataclass(frozen=True, slots=True)
class ReplayedLetter:
    """A replayed letter. `asks` is None if the body cannot be read, so it will fail again."""

    letter_id: int
    asks: CancelCommand | QueuedRun | None
    digest: bytes

    @property
    def command_id(self) -> UUID | None:
        return self.asks.command_id if isinstance(self.asks, CancelCommand) else None

    @property
    def run_id(self) -> int | None:
        return None if self.asks is None else self.asks.run_id


def replayed(letter: Record) -> ReplayedLetter:
    """`letter`, replayed unchanged."""
    kind, body = letter["type"], letter["body"]
    asks: CancelCommand | QueuedRun | None
    try:
        if is_registration(letter["routing_key"]):
            asks = read_registration(kind, body)
        else:
            asks = read_as(kind, body).command
    except Undeliverable:
        asks = None
    return ReplayedLetter(letter["letter_id"], asks, _digest(body))


def replayed_edited(letter_id: int, asks: CancelCommand | QueuedRun, body: bytes) -> ReplayedLetter:
    """A letter that was replayed with another body."""
    return ReplayedLetter(letter_id, asks, _digest(body))


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
