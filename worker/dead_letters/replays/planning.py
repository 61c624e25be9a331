"""What a replay would do with letters, without doing it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from asyncpg import Record

from shared.postgres.database import Database
from worker.dead_letters import store as letter_store
from worker.dead_letters.selection import Chosen, as_filter, missing_of
from worker.dead_letters.wanted import LetterState

MAX_REPLAYS: Final = 3
"""Maximum number of replays of a letter, including its predecessors, without `--force`."""


class Planned(StrEnum):
    """Whether a replay publishes a letter, or why it does not."""

    SENT = "sent"
    TOO_OFTEN = "too_often"
    DISCARDED = "discarded"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of each letter: the first of them, and how many there are of each kind.

    `missing` are ids without a letter.
    """

    letters: list[tuple[Record, Planned]]
    counts: Mapping[Planned, int]
    missing: list[int]


def planned(letter: Record, *, force: bool, is_edited: bool = False) -> Planned:
    """What a replay does with `letter`, which may be sent with another body."""
    if letter["full_size"] is not None and not is_edited:  # only the head of the body was kept
        return Planned.CUT
    if force:
        return Planned.SENT
    if letter["state"] == LetterState.DISCARDED:
        return Planned.DISCARDED
    return Planned.TOO_OFTEN if letter["replays"] >= MAX_REPLAYS else Planned.SENT


async def plan(database: Database, chosen: Chosen, *, force: bool, limit: int) -> Plan:
    """Plan a replay of the chosen letters; `limit` of them are told, the newest, without bodies.

    Raises UserError if the text of a filter cannot be searched for.
    """
    wanted = as_filter(chosen)
    counts = await letter_store.count_planned(database, wanted, MAX_REPLAYS, force=force)
    letters = await letter_store.find(database, wanted, limit)
    return Plan(
        [(letter, planned(letter, force=force)) for letter in letters],
        {kind: counts.get(kind.value, 0) for kind in Planned},
        await missing_of(database, chosen),
    )
