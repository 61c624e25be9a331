"""Dead letters in Postgres: found, counted, marked."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from shared.postgres import sql
from shared.postgres.database import Connection, Database
from worker.dead_letters.wanted import Filter, GroupBy, where

MOST_GROUPS: Final = 1_000
MOST_COUNTED: Final = 10_000
"""Letters with a text that lists and pages count: each of them is read, not only its index."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Letters by kind. If not `is_whole`, of the newest `MOST_COUNTED`, and there may be more."""

    rows: list[Record]
    is_whole: bool


_COLUMNS = {
    GroupBy.REASON: "reason",
    GroupBy.ERROR: "error_group",
    GroupBy.PUBLISHER: "publisher",
    GroupBy.RUN: "run_id",
    GroupBy.STATE: "state",
}


async def find(
    database: Database, wanted: Filter, limit: int, before: int | None = None
) -> list[Record]:
    """Letters without their bodies, the newest first; the next page is `before` its last id.

    Raises UserError if the text of `wanted` cannot be searched for.
    """
    condition = where(wanted, before=before)
    query = sql.letter_lists.newest(condition.text, condition.after())
    return await _fetch(database, query, *condition.arguments, limit)


async def count(
    database: Database, wanted: Filter, by: GroupBy, limit: int = MOST_GROUPS
) -> Counts:
    """Count letters by kind, the most frequent first. Raises UserError like `find`."""
    condition, most = where(wanted), _most(wanted)
    query = sql.letter_lists.counts(condition.text, condition.after(), _COLUMNS[by], most)
    return _counts(await _fetch(database, query, *condition.arguments, limit), most)


async def count_groups(database: Database, wanted: Filter, limit: int = MOST_GROUPS) -> Counts:
    """Count letters by reason and group of errors. Raises UserError like `find`."""
    condition, most = where(wanted), _most(wanted)
    query = sql.letter_lists.groups(condition.text, condition.after(), most)
    return _counts(await _fetch(database, query, *condition.arguments, limit), most)


def _most(wanted: Filter) -> int | None:
    return None if wanted.grep is None else MOST_COUNTED


def _counts(rows: list[Record], most: int | None) -> Counts:
    return Counts(rows, is_whole=most is None or not rows or rows[0]["of_all"] < most)


async def total(database: Database, wanted: Filter) -> int:
    """How many letters are wanted, all of them counted. Raises UserError like `find`."""
    return await _total(database, wanted, None)


async def total_shown(database: Database, wanted: Filter) -> int:
    """How many letters are wanted; with a text to search for, `MOST_COUNTED` are that or more.

    Raises UserError like `find`.
    """
    return await _total(database, wanted, _most(wanted))


async def _total(database: Database, wanted: Filter, most: int | None) -> int:
    condition = where(wanted)
    query = sql.letter_lists.total(condition.text, most)
    (row,) = await _fetch(database, query, *condition.arguments)
    return int(row["letters"])


async def missing(database: Database, letter_ids: Sequence[int]) -> list[int]:
    """Which of `letter_ids` no letter has."""
    rows = await _fetch(database, sql.dead_letters.FIND_IDS, letter_ids)
    return sorted(set(letter_ids) - {row["letter_id"] for row in rows})


async def count_planned(
    database: Database, wanted: Filter, most_replays: int, *, force: bool
) -> dict[str, int]:
    """How many letters a replay would publish or not, by why. Raises UserError like `find`."""
    condition = where(wanted)
    query = sql.letter_lists.planned(condition.text, condition.after(1), condition.after(2))
    rows = await _fetch(database, query, *condition.arguments, most_replays, force)
    return {row["planned"]: row["letters"] for row in rows}


async def has_publisher(database: Database, publisher: str) -> bool:
    """Whether there is any letter of `publisher`, in any state."""
    (row,) = await _fetch(database, sql.dead_letters.HAS_PUBLISHER, publisher)
    return bool(row["exists"])


async def find_one(database: Database, letter_id: int) -> tuple[Record, list[Record]] | None:
    """One letter and its history."""
    async with database.connection() as connection:
        letter = await connection.fetchrow(sql.dead_letters.FIND, letter_id)
        actions = await connection.fetch(sql.dead_letters.LIST_ACTIONS, letter_id)
    return None if letter is None else (letter, actions)


async def find_whole(
    database: Database, letter_id: int
) -> tuple[Record, list[Record], list[Record]] | None:
    """One letter, its history with the bodies of edits, and the letters that its replays became."""
    async with database.connection() as connection:
        letter = await connection.fetchrow(sql.dead_letters.FIND, letter_id)
        if letter is None:
            return None
        return (
            letter,
            await connection.fetch(sql.dead_letters.LIST_WHOLE_ACTIONS, letter_id),
            await connection.fetch(sql.dead_letters.LIST_REPLAYS, letter_id),
        )


async def latest(database: Database) -> int:
    """The id of the letter that was stored last; 0 if there is none."""
    (row,) = await database.fetch(sql.dead_letters.LATEST)
    return int(row["letter_id"])


async def next_of(database: Database, wanted: Filter, after: int, limit: int) -> list[Record]:
    """Up to `limit` letters with ids above `after`, in order, including bodies."""
    condition = where(wanted, after=after)
    query = sql.letter_lists.oldest_whole(condition.text, condition.after())
    return await _fetch(database, query, *condition.arguments, limit)


async def ids_of(database: Database, wanted: Filter, after: int, limit: int) -> list[int]:
    """Up to `limit` ids above `after`, in order."""
    condition = where(wanted, after=after)
    query = sql.letter_lists.ids(condition.text, condition.after())
    rows = await _fetch(database, query, *condition.arguments, limit)
    return [row["letter_id"] for row in rows]


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


async def mark_discarded(
    database: Database, letter_ids: Sequence[int], by: str, note: str | None
) -> list[int]:
    """Discard waiting letters; the ids of those that were discarded."""
    async with database.connection() as connection:
        rows: list[Any] = await connection.fetch(sql.dead_letters.DISCARD, letter_ids, by, note)
    return [row["letter_id"] for row in rows]


async def _fetch(database: Database, query: str, *arguments: object) -> list[Record]:
    async with _planned(database) as connection:
        rows: list[Record] = await connection.fetch(query, *arguments)
    return rows


@asynccontextmanager
async def _planned(database: Database) -> AsyncIterator[Connection]:
    async with database.transaction() as connection:
        await connection.execute(sql.letter_lists.PLAN)
        yield connection
