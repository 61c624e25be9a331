"""Stops what a run has started, or looks whether any of it is left."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Final
from uuid import UUID

from shared.aio.tasks import end
from shared.errors import ServiceUnavailable
from shared.runs import RunProcess
from shared.states import Proof
from worker.docker.containers import Containers
from worker.docker.stopping.containers_stopped import ContainersStopped
from worker.docker.stopping.deadlines import Deadlines
from worker.evidence import (
    ContainerLeft,
    Ended,
    Evidence,
    StopFailed,
    Survivor,
    host_rebooted,
    timestamp,
)
from worker.processes.cgroup import CONTAINERS, Cgroup
from worker.processes.identity import boot_id
from worker.processes.known_launchers import KnownLaunchers
from worker.stop.ladder import StopPlan
from worker.stop.run_tree import shortage_is_an_outage, stop_tree, tree_of

_LOOK: Final = 5.0
"""Seconds for the engine to tell what a command left behind."""


@dataclass(frozen=True, slots=True)
class Left:
    """What a command left behind."""

    processes: Sequence[Survivor] = ()
    """Without those in containers."""
    containers: Sequence[ContainerLeft] = ()
    unseen: bool = False
    """Whether there may be containers: the engine does not answer, or this worker knows none."""
    builds: bool = False
    """Whether an image is still being built for a process that is not the run's."""

    @property
    def any(self) -> bool:
        return bool(self.processes or self.containers or self.unseen or self.builds)


class RunStopper:
    """All stops of a host's runs go through it; `launchers` are those of this host.

    `containers` is None if jobs get no Docker socket here.
    """

    def __init__(self, launchers: KnownLaunchers, containers: Containers | None = None) -> None:
        self._launchers = launchers
        self._containers = containers

    async def stop(
        self, process: RunProcess, plan: StopPlan, force: asyncio.Event | None = None
    ) -> Evidence:
        """Stop everything of a run, and return the proof. Setting `force` ends the grace period.

        Raises StopFailed, OutOfSight and ServiceUnavailable.
        """
        force = force or asyncio.Event()
        if self._containers is None:
            evidence = await stop_tree(process, plan, force, self._launchers)
            if self._is_blind_to(process):
                raise StopFailed(_without_engine(evidence))
            return evidence
        began = monotonic()
        deadlines = Deadlines(plan.deadline, plan.kill_wait, force)
        stopping = asyncio.create_task(self._containers.stop(process, deadlines))
        try:
            evidence = await stop_tree(process, plan, force, self._launchers)
            with shortage_is_an_outage():
                stopped = await stopping
        finally:
            await end(stopping)
        if stopped is None:
            return evidence
        evidence = _together(evidence, stopped, round((monotonic() - began) * 1000, 3))
        if stopped.alive:
            raise StopFailed(evidence)
        return evidence

    async def left_of(self, process: RunProcess) -> Left:
        """What is left of a run of this boot whose command has ended.

        From now on, it can start no more containers. Raises OutOfSight and ServiceUnavailable.
        """
        containers: Sequence[ContainerLeft] = ()
        unseen = self._is_blind_to(process)
        if self._containers is not None:
            try:
                async with asyncio.timeout(_LOOK):
                    parent = await self._containers.close_gate(process)
                    containers = await self._left(process, parent)
            except (ServiceUnavailable, TimeoutError):
                unseen = True  # a stop kills them in time, and waits for the engine with its proof
        with shortage_is_an_outage(), closing(tree_of(process, self._launchers)) as tree:
            processes = () if await tree.is_gone() else await tree.survivors()
        if containers and process.cgroup is not None:
            inside = Cgroup(Path(process.cgroup, CONTAINERS)).members()
            processes = tuple(each for each in processes if each.pid not in inside)
        left = Left(processes, containers, unseen)
        if self._containers is not None and not left.any:
            left = replace(left, builds=await self._containers.builds_on(process))
        return left

    async def gone(self, process: RunProcess) -> Evidence | None:
        """The evidence that nothing is left of a run that is over; None if something may be.

        Raises OutOfSight and ServiceUnavailable.
        """
        if self._is_blind_to(process) or await self._left(process, process.containers_in):
            return None
        if process.boot_id != boot_id():
            return host_rebooted()
        with shortage_is_an_outage(), closing(tree_of(process, self._launchers)) as tree:
            if not await tree.is_gone():
                return None
            return Evidence(
                Ended.ALREADY_GONE,
                tree.proof,
                proved_at=timestamp(),
                containment=tree.containment,
            )

    def over(self, launch_id: UUID) -> None:
        """What became of the run is on record."""
        if self._containers is not None:
            self._containers.over(launch_id)

    def _is_blind_to(self, process: RunProcess) -> bool:
        """Whether the run may have containers, which this worker cannot see."""
        return self._containers is None and process.containers_in is not None

    async def _left(self, process: RunProcess, parent: str | None) -> Sequence[ContainerLeft]:
        if self._containers is None or parent is None:
            return ()
        return await self._containers.left(process.launch_id, parent)


def _together(evidence: Evidence, stopped: ContainersStopped, duration_ms: float) -> Evidence:
    """The evidence of processes and containers."""
    how = evidence.ended
    if stopped.alive:
        how = Ended.SURVIVED
    elif stopped.killed:
        how = Ended.KILLED
    elif how is Ended.ALREADY_GONE and any(each.signal for each in stopped.ends):
        how = Ended.OBEYED
    proof = evidence.proof if stopped.held else Proof.ENGINE_REPORTED
    return replace(
        evidence,
        ended=how,
        proof=None if stopped.alive else proof,
        proved_at=None if stopped.alive else timestamp(),
        duration_ms=duration_ms,
        containers=tuple(stopped.ends),
        containers_alive=tuple(stopped.alive),
    )


def _without_engine(evidence: Evidence) -> Evidence:
    return replace(
        evidence, ended=Ended.NOT_PROVED, proof=None, proved_at=None, engine_missing=True
    )
