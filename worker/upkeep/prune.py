"""Prunes old records in short transactions. What may go is decided by functions in Postgres."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final, Protocol, TypeAlias

from asyncpg import Record

from shared.errors import ServiceUnavailable
from shared.postgres import sql
from shared.postgres.database import Connection, Database

# Rows to look at in one transaction.
_FIRST: Final = 200
_FEWEST: Final = 50
_MOST: Final = 5000
_AIM: Final = 0.02
"""Seconds that a transaction should take. A late cancel of one of its runs waits for as long; and
where Postgres has few processors, all cancels do (measured: docs/performance.md)."""

_START: Final = datetime(1, 1, 1, tzinfo=UTC)


class Archive(Protocol):
    """Where records go before they are pruned."""

    async def write(self, records: Sequence[str]) -> None:
        """Append `records`, each a JSON object; return when they are on disk.

        Raises ServiceUnavailable; then none is there.
        """


@dataclass(frozen=True, slots=True)
class Order:
    """What to prune, and for whom."""

    by: str
    older_than: timedelta
    """At least MIN_RETENTION."""
    waiting_letters: bool = False
    """Whether dead letters go that were neither replayed nor discarded."""
    archive: str | None = None
    """Its name, for the record."""
    rest: float = 1.0
    """The pause after a transaction, as a multiple of its time: others need Postgres, too."""


@dataclass(slots=True)
class Pruned:
    """What was pruned. After `failed` or `interrupted`, the rest can be pruned by another one."""

    audit_id: int
    before: datetime
    rows: Counter[str] = field(default_factory=Counter)
    """Deleted rows, by table."""
    expired: int = 0
    """Queued runs that were canceled because they did not start."""
    seconds: float = 0.0
    failed: str | None = None
    """Why it ended early: Postgres was unavailable, or the archive."""
    interrupted: bool = False


_After: TypeAlias = tuple[object, ...]
"""Where the last transaction ended; empty for the first."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """The result of one transaction."""

    looked_at: int
    numbers: dict[str, int]
    after: _After


_Step: TypeAlias = Callable[[Connection, Pruned, _After, int], Awaitable[_Batch]]


class Pruner:
    """Prunes once. Any number of prunes may run at once: each skips what another one has locked."""

    def __init__(self, database: Database, order: Order, archive: Archive | None = None) -> None:
        self._database = database
        self._order = order
        self._archive = archive
        self._most = _FIRST

    async def prune(
        self, stop: asyncio.Event, looked_at: Callable[[int], None] = lambda _: None
    ) -> Pruned:
        """Prune until all is done, or `stop` is set. `looked_at` hears how many rows, each time.

        Raises ServiceUnavailable if it did not begin.
        """
        began = monotonic()
        pruned = await self._begin()
        try:
            for step in (self._expire, self._runs, self._letters, self._history):
                if not await self._all(step, pruned, stop, looked_at):
                    break
        except ServiceUnavailable as error:
            pruned.failed = str(error)
        pruned.interrupted = stop.is_set() and pruned.failed is None
        pruned.seconds = monotonic() - began
        return pruned

    async def _begin(self) -> Pruned:
        order = self._order
        async with self._database.transaction() as connection:
            before: datetime = await connection.fetchval(sql.upkeep.LIMIT, order.older_than)
            detail = {
                "before": before.isoformat(),
                "older_than_days": order.older_than / timedelta(days=1),
                "waiting_letters": order.waiting_letters,
                "archive": order.archive,
            }
            audit_id: int = await connection.fetchval(
                sql.upkeep.BEGIN_PRUNE, order.by, json.dumps(detail)
            )
        return Pruned(audit_id, before)

    async def _all(
        self,
        step: _Step,
        pruned: Pruned,
        stop: asyncio.Event,
        looked_at: Callable[[int], None],
    ) -> bool:
        """Do `step` until nothing is left for it; whether to go on."""
        after: _After = ()
        while not stop.is_set():
            began = monotonic()
            most = self._most
            async with self._database.transaction() as connection:
                await connection.execute(sql.upkeep.WITHOUT_WAITING_FOR_THE_DISK)
                batch = await step(connection, pruned, after, most)
            taken = monotonic() - began
            pruned.expired += batch.numbers.pop("expired", 0)
            pruned.rows.update(batch.numbers)
            looked_at(batch.looked_at)
            if not batch.looked_at:
                return True
            after = batch.after
            self._adapt(taken)
            with suppress(TimeoutError):
                async with asyncio.timeout(taken * self._order.rest):
                    await stop.wait()
        return False

    def _adapt(self, taken: float) -> None:
        """Look at more or fewer rows the next time, so that it takes as long as it should."""
        aimed = self._most * min(2.0, max(0.5, _AIM / max(taken, 0.001)))
        self._most = max(_FEWEST, min(_MOST, int(aimed)))

    async def _expire(
        self, connection: Connection, pruned: Pruned, after: _After, most: int
    ) -> _Batch:
        [row] = await connection.fetch(
            sql.upkeep.EXPIRE_UNSTARTED, pruned.audit_id, pruned.before, *(after or (0,)), most
        )
        return await self._batch(row, "after_id")

    async def _runs(
        self, connection: Connection, pruned: Pruned, after: _After, most: int
    ) -> _Batch:
        return await self._by_time(connection, sql.upkeep.PRUNE_RUNS, pruned, after, most)

    async def _letters(
        self, connection: Connection, pruned: Pruned, after: _After, most: int
    ) -> _Batch:
        return await self._by_time(connection, sql.upkeep.PRUNE_LETTERS, pruned, after, most)

    async def _by_time(
        self,
        connection: Connection,
        query: str,
        pruned: Pruned,
        after: _After,
        most: int,
    ) -> _Batch:
        [row] = await connection.fetch(
            query,
            pruned.audit_id,
            pruned.before,
            *(after or (_START, 0)),
            most,
            self._order.waiting_letters,
            self._archive is not None,
        )
        return await self._batch(row, "after_at", "after_id")

    async def _history(
        self, connection: Connection, pruned: Pruned, _: _After, most: int
    ) -> _Batch:
        [row] = await connection.fetch(
            sql.upkeep.PRUNE_HISTORY,
            pruned.audit_id,
            pruned.before,
            most,
            self._archive is not None,
        )
        return await self._batch(row)

    async def _batch(self, row: Record, *after: str) -> _Batch:
        """Archive what is deleted, before the deletion is committed."""
        if self._archive is not None and (records := row.get("archived")):
            await self._archive.write(records)
        numbers: dict[str, Any] = json.loads(row["pruned"])
        return _Batch(row["looked_at"], numbers, tuple(row[name] for name in after))
