"""Notices when the processes that were kept after a run have ended by themselves.

Otherwise a host would look for them for ever, and a cancel would seem to have something to stop.
"""

import asyncio
from typing import Final, NoReturn

import structlog

from shared.aio.retry import until_available
from shared.errors import ServiceUnavailable
from shared.postgres import sql
from shared.postgres.database import Database
from shared.runs import Run
from worker.stop import record
from worker.stop.run_stopper import RunStopper
from worker.stop.run_tree import OutOfSight
from worker.stop.stops import Stops

log = structlog.get_logger(__name__)

_LOOK_EVERY: Final = 60.0
"""Seconds."""


class KeptRuns:
    """The runs of one host that have left something behind."""

    def __init__(self, database: Database, host: str, stopper: RunStopper, stops: Stops) -> None:
        self._database = database
        self._host = host
        self._stopper = stopper
        self._stops = stops

    async def keep_looking(self, every: float = _LOOK_EVERY) -> NoReturn:
        """Look at this interval, in seconds."""
        while True:
            for run in await until_available(self._find):
                try:
                    await self._look(run)
                except ServiceUnavailable:
                    break  # until the next look
                except Exception:
                    log.exception("left_behind_not_looked_at", run_id=run.run_id)
            await asyncio.sleep(every)

    async def _find(self) -> list[Run]:
        rows = await self._database.fetch(sql.runs.LIST_LEFT_BEHIND_ON_HOST, self._host)
        return [Run.from_record(row) for row in rows]

    async def _look(self, run: Run) -> None:
        if run.process is None or self._stops.of(run.run_id):
            return
        try:
            evidence = await self._stopper.gone(run.process)
        except OutOfSight:
            return
        if evidence is None:
            return
        async with self._database.transaction() as connection:
            await record.lock_run(connection, run.run_id)
            is_news = await record.record_leftovers(connection, run.run_id, evidence)
            await record.close_over(connection, [run.run_id])
        if is_news:
            log.info("left_behind_gone", run_id=run.run_id, proof=evidence.proof)
