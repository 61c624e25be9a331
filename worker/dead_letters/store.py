"""Dead letters in Postgres: found, counted, marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from asyncpg import Record

from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import DeadReason


class LetterState(StrEnum):
    WAITING = "waiting"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


class GroupBy(StrEnum):
    REASON = "reason"
    PUBLISHER = "publisher"
    RUN = "run"
    STATE = "state"


_COLUMNS = {
    GroupBy.REASON: "reason",
    GroupBy.PUBLISHER: "publisher",
    GroupBy.RUN: "run_id",
    GroupBy.STATE: "state",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Selects letters; None matches all. Ages count from a letter's arrival in Postgres.

    `UNKNOWN_PUBLISHER` selects letters without a known publisher.
    """

    state: LetterState | None = LetterState.WAITING
    reason: DeadReason | None = None
    publisher: str | None = None
    run_id: int | None = None
    older_than: timedelta | None = None
    newer_than: timedelta | None = None

    @property
    def arguments(self) -> tuple[object, ...]:
        return (
            self.state,
            self.reason,
            self.publisher,
            self.run_id,
            self.older_than,
            self.newer_than,
        )


async def find(database: Database, wanted: Filter, limit: int) -> list[Record]:
    """Letters without their bodies, the newest first."""
    async with database.connection() as connection:
        rows: list[Record] = await connection.fetch(sql.dead_letters.LIST, *wanted.arguments, limit)
    return rows


async def count(database: Database, wanted: Filter, by: GroupBy) -> list[Record]:
    """Count letters by kind, the most frequent first."""
    query = sql.dead_letters.COUNT.format(column=_COLUMNS[by])
    async with database.connection() as connection:
        rows: list[Record] = await connection.fetch(query, *wanted.arguments)
    return rows


async def has_publisher(database: Database, publisher: str) -> bool:
    """Whether there is any letter of `publisher`, in any state."""
    async with database.connection() as connection:
        found: bool = await connection.fetchval(sql.dead_letters.HAS_PUBLISHER, publisher)
    return found


async def find_one(database: Database, letter_id: int) -> tuple[Record, list[Record]] | None:
    """One letter and its history."""
    async with database.connection() as connection:
        letter = await connection.fetchrow(sql.dead_letters.FIND, letter_id)
        actions = await connection.fetch(sql.dead_letters.LIST_ACTIONS, letter_id)
    return None if letter is None else (letter, actions)


async def find_some(database: Database, letter_ids: list[int]) -> list[Record]:
    async with database.connection() as connection:
        rows: list[Record] = await connection.fetch(sql.dead_letters.FIND_SOME, letter_ids)
    return rows


async def next_of(database: Database, wanted: Filter, after: int, limit: int) -> list[Record]:
    """Up to `limit` letters with ids above `after`, in order, including bodies."""
    async with database.connection() as connection:
        rows: list[Record] = await connection.fetch(
            sql.dead_letters.NEXT, *wanted.arguments, after, limit
        )
    return rows


async def mark_replayed(database: Database, letter_ids: Sequence[int], by: str) -> None:
    """Record that letters were replayed."""
    async with database.connection() as connection:
        await connection.execute(sql.dead_letters.MARK_REPLAYED, letter_ids, by)


async def mark_edited(
    database: Database, letter_id: int, by: str, command_id: UUID | None, body: bytes
) -> None:
    """Record that a letter was replayed with an edited body; a command has a new id."""
    async with database.connection() as connection:
        await connection.execute(sql.dead_letters.MARK_EDITED, letter_id, by, command_id, body)


async def discard(database: Database, letter_ids: list[int], by: str) -> set[int]:
    """Discard waiting letters; the ids of those that were discarded."""
    async with database.connection() as connection:
        rows: list[Any] = await connection.fetch(sql.dead_letters.DISCARD, letter_ids, by)
    return {row["letter_id"] for row in rows}
