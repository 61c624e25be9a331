"""A run for the Docker socket, without a database: everyone who connects belongs to it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import aiodocker
from aiodocker.exceptions import DockerError

from worker.docker.gates import Gate
from worker.docker.scope import LABEL, Scope
from worker.processes.peer import NotAllowed


class OneRun:
    """Asks the engine what it must know."""

    def __init__(self, engine: Path) -> None:
        launch_id = uuid4()
        self.scope = Scope(1, launch_id, f"/run-cancel-test-{launch_id.hex[:12]}")
        self.gate = Gate()
        self.admits = True
        self.in_flight = 0
        self.building_now = 0
        self.started = asyncio.Event()
        """Set once something is being started."""
        self._docker = aiodocker.Docker(f"unix://{engine}")

    async def close(self) -> None:
        await self._docker.close()

    async def of_peer(self, connection: socket.socket) -> Scope:
        if not self.admits:
            raise NotAllowed("the process belongs to no run")
        return self.scope

    @asynccontextmanager
    async def starting(self, scope: Scope) -> AsyncIterator[None]:
        with self.gate.starting():
            self.in_flight += 1
            self.started.set()
            try:
                yield
            finally:
                self.in_flight -= 1

    @asynccontextmanager
    async def building(self, scope: Scope, cut: Callable[[], None]) -> AsyncIterator[None]:
        with self.gate.building(cut):
            self.building_now += 1
            self.started.set()
            try:
                yield
            finally:
                self.building_now -= 1

    async def is_own(self, scope: Scope, container: str) -> bool | None:
        try:
            found = await self._docker.containers.get(container)
        except DockerError as error:
            if error.status == 404:
                return None
            raise
        labels = found["Config"]["Labels"] or {}
        return labels.get(LABEL) == str(scope.launch_id)

    async def container_of_exec(self, exec_id: str) -> str | None:
        exec_ = aiodocker.execs.Exec(self._docker, exec_id, tty=False)
        try:
            return str((await exec_.inspect())["ContainerID"])
        except DockerError as error:
            if error.status == 404:
                return None
            raise
