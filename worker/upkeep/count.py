"""Counts what a prune would delete now, for a bounded time."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from shared.postgres import sql
from shared.postgres.database import Database
from worker.upkeep.prune import Order

_AT_ONCE: Final = 5000
_START: Final = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Counted:
    """The numbers of rows, by table."""

    before: datetime
    rows: Counter[str] = field(default_factory=Counter)
    expired: int = 0
    """Queued runs that would be canceled because they did not start."""
    is_complete: bool = False
    """If not, time was up, and there are at least so many."""


async def count(database: Database, order: Order, seconds: float) -> Counted:
    """Raises ServiceUnavailable."""
    (row,) = await database.fetch(sql.upkeep.LIMIT, order.older_than)
    counted = Counted(row["before"])
    try:
        async with asyncio.timeout(seconds):
            (first,) = await database.fetch(sql.upkeep.COUNT_UNSTARTED, counted.before)
            counted.expired = first["expired"]
            (history,) = await database.fetch(sql.upkeep.COUNT_HISTORY, counted.before)
            counted.rows.update(dict(history))
            for query in (sql.upkeep.COUNT_RUNS, sql.upkeep.COUNT_LETTERS):
                await _count_all(database, query, order, counted)
    except TimeoutError:
        return counted
    counted.is_complete = True
    return counted


async def _count_all(database: Database, query: str, order: Order, counted: Counted) -> None:
    after_at, after_id = _START, 0
    while True:
        (row,) = await database.fetch(
            query, counted.before, after_at, after_id, _AT_ONCE, order.waiting_letters
        )
        numbers = dict(row)
        after_at, after_id = numbers.pop("after_at"), numbers.pop("after_id")
        if not numbers.pop("looked_at"):
            return
        counted.rows.update(numbers)
