"""Stops the containers of one run, beside the ladder that stops its processes.

    gate closed ─▶ what is in flight drained ─▶ each: restart policy `no`, unpaused, its stop signal
    ─▶ grace ─▶ SIGKILL, and cgroup.kill ─▶ proof: cgroups empty, and the engine restarts none

The engine may be away or hang at each step. The kill does not wait for it, the proof does.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Final
from uuid import UUID

import structlog
from aiodocker import DockerError

from shared.aio.retry import until_available
from shared.aio.tasks import end, first_of
from worker.docker.engine.cgroup_parents import thaw
from worker.docker.engine.client import Engine
from worker.docker.engine.container import Container, ContainerState
from worker.docker.gates import Gate
from worker.docker.stopping.containers_stopped import ContainersStopped
from worker.docker.stopping.deadlines import Deadlines
from worker.evidence import ContainerEnd
from worker.processes.cgroup import Cgroup

log = structlog.get_logger(__name__)

# Seconds. The end of a container wakes us; this is for what has no event, and for the engine, which
# notices up to 200 ms late that a container was killed.
_LOOK_EVERY: Final = 0.25
_KILL_EVERY: Final = 0.25
_UNANSWERED: Final = "what the engine was asked to start, and has not answered"
_KILL: Final = "SIGKILL"
_KILLED: Final = 137
"""The exit code of a container that SIGKILL ended."""


class ContainerStop:
    """One stop. `cgroup` is what should hold all the containers, if it can be seen from here."""

    def __init__(
        self,
        engine: Engine,
        gate: Gate,
        launch_id: UUID,
        cgroup_parent: str,
        cgroup: Cgroup | None,
        deadlines: Deadlines,
    ) -> None:
        self._engine = engine
        self._gate = gate
        self._launch_id = launch_id
        self._cgroup_parent = cgroup_parent
        self._cgroup = cgroup
        self._deadlines = deadlines
        self._began_at = datetime.now(UTC)
        self._killed_at: datetime | None = None
        self._killing = asyncio.Event()
        self._give_up_at: float | None = None
        self._settled: set[str] = set()
        """Those that the engine will not start again."""
        self._known: dict[str, Container] = {}
        """Those that were alive at a look, or have ended since the stop began."""
        self._seen: dict[str, Container] = {}
        """What the last look has seen, and is still so as far as we know."""
        self._in_cgroup: set[str] = set()
        """The ids of those whose own cgroup was seen in ours."""
        self._sent: dict[str, str] = {}
        """The last signal to each."""
        self._codes: dict[str, int] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._change = asyncio.Event()
        self._is_drained = False
        """Whether nothing can be in flight, also not for an earlier worker."""
        self._was_over = False

    async def run(self) -> ContainersStopped:
        """Stop them all. Waits for the engine as long as that is away."""
        killing = asyncio.create_task(self._kill_at_deadline())
        try:
            await first_of(self._gate.drained(), self._deadlines.grace_over())
            self._is_drained = self._gate.began_here and self._gate.is_idle
            while (alive := await self._looked()) is None:
                await first_of(self._change.wait(), asyncio.sleep(_LOOK_EVERY))
                self._change.clear()
        finally:
            await end(killing)
            for watch in self._watches.values():
                await end(watch)
        ends = self._ends()
        return ContainersStopped(
            ends,
            killed=any(each.signal == _KILL for each in ends),
            held=self._cgroup is not None and self._watches.keys() <= self._in_cgroup,
            alive=alive,
        )

    async def _kill_at_deadline(self) -> None:
        await self._deadlines.grace_over()
        with suppress(OSError):
            self._note_cgroups()
        self._killed_at = datetime.now(UTC)
        self._killing.set()
        self._change.set()
        self._gate.cut_builds()
        self._gate.cut_copies()
        while self._cgroup is not None:
            # Not permitted where only the run's own cgroup is ours; the ladder kills that. What
            # else may fail, such as for want of descriptors, is tried again.
            with suppress(OSError):
                if self._cgroup.is_populated():
                    self._note_cgroups()
                    self._cgroup.kill()
                    thaw(self._cgroup_parent)
            await asyncio.sleep(_KILL_EVERY)

    async def _looked(self) -> Sequence[str] | None:
        """The result of a look. One that is not over at the deadline is broken off.

        A call in it may hang, and then the kill of the other containers must not wait for that.
        """
        look = asyncio.ensure_future(until_available(self._look))
        if self._killed_at is None:
            await first_of(look, self._killing.wait())
            return None if look.cancelled() else look.result()
        return await look

    async def _look(self) -> Sequence[str] | None:
        """Ask those that are alive to end.

        The result is empty if there are none, names those that outlived the kill, and is None
        before that. Raises ServiceUnavailable.
        """
        found = await self._find(self._seen)
        if found and self._is_over(found):
            found = await self._find({})  # the list may be late
        if self._is_over(found):
            if self._cgroup is not None and self._cgroup.is_populated():
                self._limit_wait()
                return [f"processes in {self._cgroup.path}"] if self._is_given_up() else None
            # What is still in flight could start one after this look. A connection over which
            # images are built may be held by a process that is not the run's.
            if self._gate.is_building or not self._gate.is_idle:
                # The engine notices late that a connection has ended.
                self._is_drained = self._was_over = False
                self._limit_wait()
                return [_UNANSWERED] if self._is_given_up() else None
            # A restart that is in flight for an earlier worker stops the container first: one look
            # could come in between.
            was_over, self._was_over = self._was_over, True
            return () if self._is_drained or was_over else None
        self._was_over = False
        if self._is_given_up():
            return [each.name for each in found if not self._has_ended(each)]
        # No TaskGroup: in its ExceptionGroup, nobody sees that the engine is away.
        for outcome in await asyncio.gather(*map(self._ask, found), return_exceptions=True):
            if outcome is not None:
                raise outcome
        self._limit_wait()
        return None

    def _limit_wait(self) -> None:
        # Not earlier: the engine may have been away.
        if self._killed_at is not None and self._give_up_at is None:
            self._give_up_at = monotonic() + self._deadlines.kill_wait

    def _is_over(self, found: Iterable[Container]) -> bool:
        return all(map(self._has_ended, found))

    def _has_ended(self, container: Container) -> bool:
        """Whether it does not run, and the engine will not start it again."""
        if container.state.is_being_removed:
            return True
        return not container.state.is_alive and container.id in self._settled

    def _is_given_up(self) -> bool:
        return self._give_up_at is not None and monotonic() >= self._give_up_at

    async def _find(self, seen: Mapping[str, Container]) -> Sequence[Container]:
        found = await self._engine.containers_of(self._launch_id, self._cgroup_parent, seen)
        self._seen = {each.id: each for each in found}
        for each in found:
            if each.state.is_alive or each.finished_at >= self._began_at:
                self._known[each.id] = each
        self._note_cgroups()
        return found

    def _note_cgroups(self) -> None:
        if self._cgroup is None:
            return
        with suppress(OSError):  # a shortage: what is not seen in it makes the proof weaker
            # By the names that the engine's two cgroup drivers give them.
            for name in self._cgroup.populated_children():
                self._in_cgroup.add(name.removeprefix("docker-").removesuffix(".scope"))

    async def _ask(self, container: Container) -> None:
        """Let this one end, and not start again. Raises ServiceUnavailable."""
        try:
            if container.state.is_being_removed:
                return  # the engine does not start it, and changes nothing about it
            if container.id not in self._settled:
                # Without a policy, only a start may bring it back that is in flight for an earlier
                # worker. The engine carries out one change of a container after another.
                if container.has_policy or not (self._is_drained or container.state.is_alive):
                    await self._engine.never_restart(container)
                self._settled.add(container.id)
            if not container.state.is_alive:
                return
            if container.id not in self._watches:
                self._watches[container.id] = asyncio.create_task(self._watch(container))
            if container.state is ContainerState.PAUSED:
                # In a cgroup v1, not even SIGKILL reaches it before.
                await self._engine.unpause(container)
            signal = container.stop_signal if self._killed_at is None else _KILL
            # At first, the engine has to kill only those that are in no cgroup of ours.
            is_killed = self._give_up_at is None and container.id in self._in_cgroup
            if self._sent.get(container.id) != signal and not (signal == _KILL and is_killed):
                await self._engine.signal(container, signal)
                self._sent[container.id] = signal
        except DockerError as error:  # the next look shows what became of it
            log.warning(
                "container_not_asked",
                container=container.name,
                status=error.status,
                error=error.message,
            )

    async def _watch(self, container: Container) -> None:
        code = await self._engine.ended(container)
        if code is not None:
            self._codes[container.id] = code
            self._seen.pop(container.id, None)
            self._change.set()

    def _ends(self) -> Sequence[ContainerEnd]:
        return [
            ContainerEnd(
                id=each.id,
                name=each.name,
                image=each.image,
                signal=_KILL if self._was_killed(each) else self._sent.get(each.id),
                # One that is removed at its end can only be watched.
                exit_code=self._codes.get(each.id, None if each.state.is_alive else each.exit_code),
            )
            for each in self._known.values()
        ]

    def _was_killed(self, container: Container) -> bool:
        if self._killed_at is None:
            return False
        if self._sent.get(container.id) == _KILL or self._codes.get(container.id) == _KILLED:
            return True
        return not container.state.is_alive and container.finished_at >= self._killed_at
