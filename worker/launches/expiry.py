"""Cancels queued runs that did not start in time, whatever host they were for."""

import asyncio
from functools import partial
from typing import NoReturn

import structlog

from shared.aio.retry import until_available
from shared.postgres.database import Database
from shared.registrations import expire
from worker.metrics import WorkerMetrics
from worker.outbox.relay import Relay

log = structlog.get_logger(__name__)


class Expiry:
    """Several workers may do this at once: each run expires once."""

    def __init__(self, database: Database, relay: Relay, metrics: WorkerMetrics) -> None:
        self._database = database
        self._relay = relay
        self._metrics = metrics
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Hint that there may be such runs; the table decides."""
        self._woken.set()

    async def run(self) -> NoReturn:
        """Cancel them, whenever woken."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self._expire_all()
            except Exception:  # the next heartbeat wakes again
                log.exception("runs_not_expired")

    async def _expire_all(self) -> None:
        while run_ids := await until_available(partial(expire, self._database)):
            for run_id in run_ids:
                self.count(run_id)

    def count(self, run_id: int) -> None:
        """Note that a run has just been canceled as expired."""
        self._relay.wake()
        self._metrics.expired()
        log.info("run_expired", run_id=run_id)
