"""A run for the Docker socket, without a database: everyone who connects belongs to it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import aiodocker
from aiodocker.exceptions import DockerError
from aiodocker.execs import Exec

from shared.errors import ServiceUnavailable
from worker.docker.gates import Gate
from worker.docker.runs import Named
from worker.docker.scope import LABEL, Scope
from worker.processes.peer import NotAllowed


class OneRun:
    """Knows which containers are its own from what the test says."""

    def __init__(self) -> None:
        launch_id = uuid4()
        self.scope = Scope(1, launch_id, f"/run-cancel-test-{launch_id.hex[:12]}")
        self.gate = Gate()
        self.admits = True
        self.is_available = True
        self.containers: dict[str, bool] = {}
        """Whether they are the run's, by name."""
        self.execs: dict[str, str] = {}
        self.in_flight = 0
        self.builds = 0
        self.begun = asyncio.Event()
        """Set once something is being started or built."""

    async def close(self) -> None:
        """Nothing is open."""

    async def of_peer(self, connection: socket.socket) -> Scope:
        self._require_database()
        if not self.admits:
            raise NotAllowed("this process belongs to no run")
        return self.scope

    @asynccontextmanager
    async def starting(self, scope: Scope) -> AsyncIterator[None]:
        with self.gate.starting():
            self.in_flight += 1
            self.begun.set()
            try:
                yield
            finally:
                self.in_flight -= 1

    @asynccontextmanager
    async def building(self, scope: Scope, cut: Callable[[], None]) -> AsyncIterator[None]:
        with self.gate.building(cut):
            self.builds += 1
            self.begun.set()
            try:
                yield
            finally:
                self.builds -= 1

    def copying(self, scope: Scope, cut: Callable[[], None]) -> AbstractContextManager[None]:
        return self.gate.copying(cut)

    async def labeled(self, scope: Scope, name: str) -> str | None:
        found = await self.container(scope, name)
        return found.id if found is not None and found.is_own else None

    async def container(self, scope: Scope, name: str) -> Named | None:
        self._require_database()
        is_own = self.containers.get(name)
        return None if is_own is None else Named(f"id-of-{name}", is_own)

    async def container_of_exec(self, exec_id: str) -> str | None:
        return self.execs.get(exec_id)

    def _require_database(self) -> None:
        if not self.is_available:
            raise ServiceUnavailable("Postgres does not answer")


class OneRunOnEngine(OneRun):
    """Asks the engine."""

    def __init__(self, engine: Path) -> None:
        super().__init__()
        self._docker = aiodocker.Docker(f"unix://{engine}")

    async def close(self) -> None:
        await self._docker.close()

    async def container(self, scope: Scope, name: str) -> Named | None:
        try:
            found = await self._docker.containers.get(name)
        except DockerError as error:
            if error.status == 404:
                return None
            raise
        labels = found["Config"]["Labels"] or {}
        return Named(found["Id"], is_own=labels.get(LABEL) == str(scope.launch_id))

    async def container_of_exec(self, exec_id: str) -> str | None:
        try:
            shown = await Exec(self._docker, exec_id, tty=None).inspect()
        except DockerError as error:
            if error.status == 404:
                return None
            raise
        return str(shown["ContainerID"])
