"""The containers of this host's runs."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from shared.aio.tasks import first_of
from shared.runs import RunProcess
from worker.docker.engine.cgroup_parents import visible
from worker.docker.engine.client import Engine
from worker.docker.gates import Gates
from worker.docker.stopping.container_stop import ContainerStop
from worker.docker.stopping.containers_stopped import ContainersStopped
from worker.docker.stopping.deadlines import Deadlines
from worker.evidence import ContainerLeft

_CLOSES_WITHIN: Final = 1.0
"""Seconds in which we notice that a connection was closed by the end of its processes."""


class Containers:
    """`on_over` is called when a run that may have had some is recorded as over."""

    def __init__(self, engine: Engine, gates: Gates, on_over: Callable[[], None]) -> None:
        self._engine = engine
        self._gates = gates
        self._on_over = on_over

    async def close_gate(self, process: RunProcess) -> str | None:
        """Let the run start no more; where its containers are, once nothing is in flight."""
        gate = self._gates.of(process.launch_id)
        gate.close("the command of the run has ended")
        gate.cut_copies()
        await gate.drained()
        # Also of what an earlier worker has let pass: `over` then knows that there may be some.
        gate.cgroup_parent = gate.cgroup_parent or process.containers_in
        return gate.cgroup_parent

    async def builds_on(self, process: RunProcess) -> bool:
        """Whether a process that is not the run's holds a connection over which it builds.

        For a run whose own processes have ended.
        """
        gate = self._gates.of(process.launch_id)
        await first_of(gate.built(), asyncio.sleep(_CLOSES_WITHIN))
        return gate.is_building

    def over(self, launch_id: UUID) -> None:
        """The run is recorded as over: from now on, the database lets it start no more."""
        if self._gates.forget(launch_id):
            self._on_over()

    async def left(self, launch_id: UUID, cgroup_parent: str) -> Sequence[ContainerLeft]:
        """Those of a launch that run or that the engine may start. Raises ServiceUnavailable."""
        found = await self._engine.containers_of(launch_id, cgroup_parent)
        return [
            ContainerLeft(each.id, each.name, each.image)
            for each in found
            if each.state.is_alive or each.may_restart
        ]

    async def stop(self, process: RunProcess, deadlines: Deadlines) -> ContainersStopped | None:
        """Stop the containers of a run; None if it has never asked for any."""
        gate = self._gates.of(process.launch_id)
        gate.close("the run is being stopped")
        parent = gate.cgroup_parent or process.containers_in
        if parent is None and not gate.is_idle:  # its first request, perhaps
            await first_of(gate.drained(), deadlines.grace_over())
            parent = gate.cgroup_parent
        if parent is None:
            return None
        gate.cgroup_parent = parent
        stop = ContainerStop(
            self._engine, gate, process.launch_id, parent, visible(parent), deadlines
        )
        return await stop.run()
