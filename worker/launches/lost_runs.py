"""Records runs that lose their launcher, and clears away their processes."""

import asyncio
import signal
from functools import partial
from time import monotonic
from typing import NoReturn
from uuid import UUID

import structlog

from shared.aio.retry import until_available
from shared.lifecycle import most_files
from shared.postgres.database import Database
from shared.runs import Run, RunProcess
from shared.states import LeftoversPolicy, RunStatus
from worker.evidence import Evidence, StopFailed
from worker.launches import store as launch_store
from worker.launches.unreported import UnreportedRuns
from worker.leftovers import left_behind
from worker.memory.memory import Memory
from worker.outbox.relay import Relay
from worker.processes.identity import Identity, ProcessHandle, boot_id, is_alive
from worker.processes.known_launchers import KnownLaunchers
from worker.stop import record
from worker.stop.ladder import StopPlan
from worker.stop.run_stopper import Left, RunStopper
from worker.stop.run_tree import (
    OutOfSight,
    pids_are_ours,
    shortage_is_an_outage,
    visible_cgroup,
)

log = structlog.get_logger(__name__)

# Seconds. The last request of a launcher may still be arriving when it dies.
_LAST_REQUEST = 0.5


class LostRunWatch:
    """Watches the launchers of one host. `kill_wait` is in seconds."""

    def __init__(
        self,
        database: Database,
        host: str,
        tasks: asyncio.TaskGroup,
        kill_wait: float,
        launchers: KnownLaunchers,
        stopper: RunStopper,
        relay: Relay,
        memory: Memory,
    ) -> None:
        self._memory = memory
        self._database = database
        self._host = host
        self._tasks = tasks
        self._kill_wait = kill_wait
        self._launchers = launchers
        self._stopper = stopper
        self._relay = relay
        self._boot_id = boot_id()
        self._watched: set[UUID] = set()
        # The rest is for connections: without them, the worker could do nothing for any run.
        self._most_descriptors = most_files() // 2
        self._descriptors = 0
        self._unreported = UnreportedRuns(database)
        self._ended_before: set[UUID] = set()
        """Runs that were live at the last look, although their end was on record."""

    def forget(self, launch_id: UUID) -> None:
        """The run is recorded as over: when its launcher ends, there is nothing to do."""
        self._watched.discard(launch_id)

    def watch(self, run_id: int, process: RunProcess, *, keeps: bool = False) -> None:
        """Watch the launcher, so that the run does not stay `running` without it.

        If it has ended before, and the run `keeps` what its command leaves behind, that runs on.
        """
        if process.launch_id not in self._watched:
            self._watched.add(process.launch_id)
            self._launchers.add(run_id, process)
            watching = self._watch_launcher(run_id, process, keeps=keeps)
            try:
                self._tasks.create_task(watching)
            except RuntimeError:  # this worker has ended: the next one watches all live runs
                watching.close()

    async def resume(self) -> None:
        """Continue the work of an earlier worker of this host."""

        async def find() -> tuple[list[Run], list[Run]]:
            async with self._database.connection() as connection:
                return (
                    await launch_store.live_on(connection, self._host),
                    await launch_store.unproved_on(connection, self._host, self._boot_id),
                )

        live, unproved = await until_available(find)
        await self._watch_all(live)
        for run in unproved:
            if run.process is not None:
                self._tasks.create_task(self._clear_away(run.run_id, run.process))

    async def keep_watch(self, every: float) -> NoReturn:
        """Look at this interval for runs whose launchers are not watched.

        A claim may be committed after its response, and even its worker, have been lost.
        """

        async def find() -> list[Run]:
            async with self._database.connection() as connection:
                return await launch_store.live_on(connection, self._host)

        while True:
            await asyncio.sleep(every)
            live = await until_available(find)
            await self._watch_all(live)
            await self._unreported.look(run for run in live if self._is_watched(run))

    async def _watch_all(self, runs: list[Run]) -> None:
        ended: set[UUID] = set()
        for run in runs:
            if run.process is None:
                continue
            if run.status is not RunStatus.RUNNING:
                self._launchers.add(run.run_id, run.process)
            elif self._memory.has_ended(run.process.launch_id):
                ended.add(run.process.launch_id)  # its end was on record: it is not lost
            elif run.process.boot_id != self._boot_id or pids_are_ours(run.process):
                keeps = run.leftovers is LeftoversPolicy.KEEP
                self.watch(run.run_id, run.process, keeps=keeps)
            else:
                await self._look_from_outside(run, run.process)
        # At the first look, the end may have been recorded in between.
        if ended & self._ended_before:
            self._memory.undone.set()
        self._ended_before = ended

    def _is_watched(self, run: Run) -> bool:
        return run.process is not None and run.process.launch_id in self._watched

    async def _look_from_outside(self, run: Run, process: RunProcess) -> None:
        """Handle a run in another pid namespace, of which at most the cgroup can be seen."""
        cgroup = visible_cgroup(process)
        if cgroup is None:
            await until_available(partial(self._lose_out_of_sight, run))
        elif not cgroup.is_populated():
            await self._lose(run.run_id, process)

    async def _lose_out_of_sight(self, run: Run) -> None:
        async with self._database.transaction() as connection:
            lost = await record.lose_out_of_sight(connection, run)
        self._relay.wake()
        if lost:
            log.warning("run_out_of_sight", run_id=run.run_id)

    async def _watch_launcher(self, run_id: int, process: RunProcess, *, keeps: bool) -> None:
        launcher = Identity(process.launcher_pid, process.launcher_start_ticks)

        async def find() -> ProcessHandle | None:
            with shortage_is_an_outage():
                return ProcessHandle.open(launcher)

        if handle := await until_available(find):
            if self._descriptors >= self._most_descriptors:
                handle.close()
                # Looked at again with each heartbeat, in `keep_watch`.
                self._watched.discard(process.launch_id)
                return
            self._descriptors += 1
            try:
                await _ended(handle)
            finally:
                self._descriptors -= 1
            keeps = False  # it would have reported that its command ended
        if process.launch_id in self._watched:
            await asyncio.sleep(_LAST_REQUEST)
        if process.launch_id not in self._watched:
            return  # it ended well

        kept = await self._kept(process) if keeps else None
        await self._lose(run_id, process, kept)

    async def _kept(self, process: RunProcess) -> Left | None:
        """What is left of a run that keeps it, if its command has ended, perhaps by itself.

        That may have been on record before Postgres was restored.
        """
        if process.boot_id != self._boot_id or is_alive(Identity(process.pid, process.start_ticks)):
            return None
        try:
            left = await until_available(partial(self._stopper.left_of, process))
        except OutOfSight:
            return None
        return left if left.any else None

    async def _lose(self, run_id: int, process: RunProcess, kept: Left | None = None) -> None:
        found = {} if kept is None else left_behind.found(kept, kept=True)

        async def record() -> RunProcess | None:
            async with self._database.transaction() as connection:
                return await launch_store.record_launcher_died(
                    connection, run_id, process.launch_id, found
                )

        lost = await until_available(record)
        self._watched.discard(process.launch_id)
        self._relay.wake()
        if not lost:
            return
        log.warning("run_lost", run_id=run_id)
        if kept is None:
            await self._clear_away(run_id, lost)
        else:
            left_behind.log_kept(run_id, kept)

    async def _clear_away(self, run_id: int, process: RunProcess) -> None:
        """Kill the remaining processes of a lost run, because no launcher can report their end.

        A job may also have killed its launcher to evade a cancel.
        """

        async def stop() -> Evidence:
            plan = StopPlan(signal.SIGKILL, deadline=monotonic(), kill_wait=self._kill_wait)
            return await self._stopper.stop(process, plan)

        try:
            evidence = await until_available(stop)
        except StopFailed as failure:
            evidence = failure.evidence
        except OutOfSight:
            log.warning("leftovers_out_of_sight", run_id=run_id)
            return
        except OSError:
            # The run stays unproved: a cancel, or the next worker, tries again.
            log.exception("leftovers_unreachable", run_id=run_id)
            return

        async def record_end() -> None:
            async with self._database.transaction() as connection:
                await record.record_leftovers(connection, run_id, evidence)
                await record.close_over(connection, [run_id])

        await until_available(record_end)
        self._stopper.over(process.launch_id)
        log.info("leftovers_cleared", run_id=run_id, ended=evidence.ended, proof=evidence.proof)


async def _ended(handle: ProcessHandle) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    # A pidfd is readable once its process has ended (pidfd_open(2)).
    loop.add_reader(handle.fd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(handle.fd)
        handle.close()
