"""Whether a run may still start something on the engine, and what it has in flight there."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from shared.errors import RunCancelError


class GateClosed(RunCancelError):
    """The run may not start anything any more; `why` says why."""

    def __init__(self, why: str) -> None:
        super().__init__(f"nothing more is started: {why}")


class Gate:
    """The gate of one launch. What is in flight when it closes is drained before the proof."""

    def __init__(self) -> None:
        self._closed_because: str | None = None
        self._in_flight = 0
        self._drained = asyncio.Event()
        self._drained.set()
        self._builds: set[Callable[[], None]] = set()
        self._copies: set[Callable[[], None]] = set()
        self._are_cut = False
        self._built = asyncio.Event()
        self._built.set()
        self.cgroup_parent: str | None = None
        """Where its containers are, once it is on record that it may have some."""
        self.began_here = False
        """Whether all that the run has asked for went through this worker, not an earlier one."""

    @contextmanager
    def starting(self) -> Iterator[None]:
        """A request that starts something, until the engine has answered. Raises GateClosed."""
        if self._closed_because is not None:
            raise GateClosed(self._closed_because)
        self._in_flight += 1
        self._drained.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._drained.set()

    @contextmanager
    def building(self, cut: Callable[[], None]) -> Iterator[None]:
        """A connection over which images are built; `cut` closes it. Raises GateClosed."""
        if self._closed_because is not None:
            raise GateClosed(self._closed_because)
        self._builds.add(cut)
        self._built.clear()
        try:
            yield
        finally:
            self._builds.discard(cut)
            if not self._builds:
                self._built.set()

    @contextmanager
    def copying(self, cut: Callable[[], None]) -> Iterator[None]:
        """A connection over which files are copied; `cut` closes it. Raises GateClosed.

        Also while the gate is closed, until such connections are cut.
        """
        if self._are_cut:
            raise GateClosed(self._closed_because or "the run is over")
        self._copies.add(cut)
        try:
            yield
        finally:
            self._copies.discard(cut)

    @property
    def is_idle(self) -> bool:
        return self._drained.is_set()

    @property
    def is_building(self) -> bool:
        """Whether a connection is open over which the engine may be told to start more."""
        return not self._built.is_set()

    def close(self, why: str) -> None:
        """Let nothing more pass. Safe to call again."""
        if self._closed_because is None:
            self._closed_because = why

    def cut_builds(self) -> None:
        """Close the connections over which images are built: the engine then ends the builds."""
        for cut in list(self._builds):
            cut()

    def cut_copies(self) -> None:
        """Close the connections over which files are copied, and let there be no more.

        The engine answers nothing about a container while it copies, however slowly.
        """
        self._are_cut = True
        for cut in list(self._copies):
            cut()

    async def drained(self) -> None:
        """Return when the engine has answered all requests that passed before the gate closed."""
        await self._drained.wait()

    async def built(self) -> None:
        """Return when no connection is open over which images are built."""
        await self._built.wait()


class Gates:
    """The gates of the launches that this worker knows of."""

    def __init__(self) -> None:
        self._gates: dict[UUID, Gate] = {}

    def of(self, launch_id: UUID) -> Gate:
        return self._gates.setdefault(launch_id, Gate())

    def parent_of(self, launch_id: UUID) -> str | None:
        """Where the containers of this launch are; None if it has asked for none."""
        gate = self._gates.get(launch_id)
        return None if gate is None else gate.cgroup_parent

    def forget(self, launch_id: UUID) -> bool:
        """Forget a run that is over, as the database knows; whether it may have had containers."""
        gate = self._gates.get(launch_id)
        if gate is None:
            return False
        if not gate.is_building:  # else what is kept builds on, and a later stop has to cut that
            del self._gates[launch_id]
        return gate.cgroup_parent is not None
