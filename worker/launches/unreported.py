"""Detects running runs whose command has ended without a report of the launcher."""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from uuid import UUID

import structlog

from shared.aio.retry import until_available
from shared.postgres.database import Database
from shared.runs import Run, RunProcess
from worker.launches import store as launch_store
from worker.processes.identity import Identity, ProcessStat, read_stat
from worker.stop.run_tree import shortage_is_an_outage

log = structlog.get_logger(__name__)


class UnreportedRuns:
    """Detects them with repeated checks. A stopped launcher (SIGSTOP) causes one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._found: dict[UUID, ProcessStat] = {}
        self._recorded: set[UUID] = set()

    async def look(self, runs: Iterable[Run]) -> None:
        """Record the runs that this check and the previous one found among `runs`.

        At the first check, the launcher may be about to report.
        """
        running = {run.process.launch_id: run for run in runs if run.process is not None}
        processes = [run.process for run in running.values() if run.process is not None]
        before, self._found = self._found, await until_available(partial(_look, processes))
        self._recorded &= self._found.keys()
        for launch_id in (before.keys() & self._found.keys()) - self._recorded:
            await until_available(partial(self._record, running[launch_id].run_id, launch_id))

    async def _record(self, run_id: int, launch_id: UUID) -> None:
        async with self._database.connection() as connection:
            is_news = await launch_store.record_unreported(connection, run_id, launch_id)
        self._recorded.add(launch_id)
        if is_news:
            launcher = self._found[launch_id]
            log.warning(
                "run_unreported",
                run_id=run_id,
                launcher_pid=launcher.identity.pid,
                launcher_state=launcher.state,
            )


async def _look(processes: Sequence[RunProcess]) -> dict[UUID, ProcessStat]:
    with shortage_is_an_outage():
        return await asyncio.to_thread(_waiting_launchers, processes)


def _waiting_launchers(processes: Iterable[RunProcess]) -> dict[UUID, ProcessStat]:
    """The live launchers of runs whose leader has ended, by launch id."""
    found = {}
    for process in processes:
        if _live(Identity(process.pid, process.start_ticks)) is None:
            launcher = Identity(process.launcher_pid, process.launcher_start_ticks)
            if (stat := _live(launcher)) is not None:
                found[process.launch_id] = stat
    return found


def _live(identity: Identity) -> ProcessStat | None:
    stat = read_stat(identity.pid)
    return stat if stat and stat.identity == identity and not stat.is_dead else None
