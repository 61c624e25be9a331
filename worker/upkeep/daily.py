"""What one worker of all does each day: it prunes old records and forgets hosts that left.

When a job is due is in Postgres (`turns`). The worker that begins sets the next time, so no other
one begins it too; if it fails or dies, any worker tries again an hour later.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from random import uniform
from typing import Final, NoReturn

import structlog

from shared.aio.retry import until_available
from shared.aio.tasks import end
from shared.errors import ServiceUnavailable
from shared.postgres import sql
from shared.postgres.database import Database
from worker.hosts import store as host_store
from worker.metrics import WorkerMetrics
from worker.upkeep.prune import Order, Pruner

log = structlog.get_logger(__name__)

_EVERY: Final = timedelta(days=1)
_RETRY: Final = timedelta(hours=1)
_LOOK: Final = 600.0
"""Seconds between looks whether a job is due, on average: not all workers look at once."""
_REST: Final = 3.0
"""The pause after a transaction, as a multiple of its time: it may take all day."""


class _Turn(StrEnum):
    RETENTION = "retention"
    HOST_RETENTION = "host_retention"


class DailyUpkeep:
    def __init__(
        self,
        database: Database,
        host: str,
        retention: timedelta | None,
        host_retention: timedelta | None,
        metrics: WorkerMetrics,
    ) -> None:
        """`retention`, `host_retention`: the ages at which records and hosts go; None: never."""
        self._database = database
        self._by = f"worker {host}"
        self._retention = retention
        self._host_retention = host_retention
        self._metrics = metrics

    async def run(self) -> NoReturn:
        """Do what is due, whenever it is. If it is canceled, what it has pruned stays so."""
        while True:
            await asyncio.sleep(_LOOK * uniform(0.1, 1.9))  # noqa: S311 - no secret
            await self.do_what_is_due()

    async def do_what_is_due(self, now: datetime | None = None) -> None:
        """`now`: the time; None for that of Postgres. Errors are logged, not raised."""
        try:
            if (age := self._host_retention) is not None:
                await self._if_due(_Turn.HOST_RETENTION, now, partial(self._forget_hosts, age))
            if (age := self._retention) is not None:
                await self._if_due(_Turn.RETENTION, now, partial(self._prune, age))
        except ServiceUnavailable as error:
            log.warning("upkeep_postponed", error=str(error))
        except Exception:  # the worker has other work
            log.exception("upkeep_failed")

    async def _if_due(
        self, turn: _Turn, now: datetime | None, work: Callable[[], Awaitable[bool]]
    ) -> None:
        """Do `work` if it is due, and set the next time if it returns that it is done."""
        for row in await self._database.fetch(sql.upkeep.TAKE_DUE, turn, _RETRY, now):
            began: datetime = row["began"]
            holding = asyncio.create_task(self._hold(turn, began))
            try:
                is_done = await work()
            finally:
                await end(holding)
            if is_done:
                await self._database.fetch(sql.upkeep.SET_DUE, turn, began + _EVERY)

    async def _hold(self, turn: _Turn, began: datetime) -> NoReturn:
        """While a job takes longer, no other worker is to begin it."""
        until = began + _RETRY
        while True:
            await asyncio.sleep(_RETRY / timedelta(seconds=2))
            until += _RETRY / 2
            await until_available(partial(self._database.fetch, sql.upkeep.SET_DUE, turn, until))

    async def _forget_hosts(self, age: timedelta) -> bool:
        found = await self._database.fetch(sql.upkeep.LIST_OLD_HOSTS, age)
        forgotten = [
            row["host"]
            for row in found
            if await host_store.forget(self._database, row["host"], self._by) is None
        ]
        if forgotten:
            self._metrics.hosts_forgotten(len(forgotten))
            log.info("hosts_forgotten", hosts=forgotten, older_than_days=age / _EVERY)
        return True

    async def _prune(self, age: timedelta) -> bool:
        order = Order(self._by, age, rest=_REST)
        pruned = await Pruner(self._database, order).prune(asyncio.Event())
        is_complete = pruned.failed is None
        self._metrics.pruned(pruned.rows, is_complete=is_complete)
        if pruned.failed is not None:
            log.warning("records_not_pruned", error=pruned.failed, rows=pruned.rows.total())
        else:
            log.info(
                "records_pruned",
                older_than_days=age / _EVERY,
                seconds=round(pruned.seconds, 1),
                runs=pruned.rows["runs"],
                cancellations=pruned.rows["cancellations"],
                dead_letters=pruned.rows["dead_letters"],
                rows=pruned.rows.total(),
                expired=pruned.expired,
            )
        return is_complete
