"""What a worker does about containers, put together: the socket for jobs, stops, the sweep."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from shared.postgres.database import Database
from worker.docker.asking_runs import AskingRuns
from worker.docker.containers import Containers
from worker.docker.engine.client import Engine
from worker.docker.gates import Gates
from worker.docker.proxy import server
from worker.docker.proxy.limits import Limits
from worker.docker.proxy.server import DockerSocket
from worker.docker.rules.host_access import HostAccess
from worker.docker.rules.host_paths import HostPaths
from worker.docker.sweep import Sweep
from worker.settings import WorkerSettings


def socket_path(settings: WorkerSettings) -> Path:
    """The socket for jobs."""
    return settings.worker_socket.with_name("docker.sock")


class DockerService:
    """`engine_socket` is the engine's; the runs are those of `host`, below `runs_root`."""

    def __init__(
        self,
        settings: WorkerSettings,
        engine_socket: Path,
        database: Database,
        runs_root: Path | None,
    ) -> None:
        self._settings = settings
        self._engine_socket = engine_socket
        self._database = database
        self._engine = Engine(engine_socket)
        self._over = asyncio.Event()
        gates = Gates()
        self.parent_of = gates.parent_of
        self.containers = Containers(self._engine, gates, self._over.set)
        self._runs = AskingRuns(database, settings.host_name, runs_root, self._engine, gates)

    async def sweep(self, is_being_stopped: Callable[[int], bool]) -> None:
        """Remove what is left of runs that are over, for ever."""
        host = self._settings.host_name
        await Sweep(self._database, host, self._engine, is_being_stopped).run(self._over)

    async def serve(self, bound: socket.socket) -> DockerSocket:
        """Serve the jobs. Before this, connections are refused."""
        rules = HostAccess(
            HostPaths(self._engine_socket, socket_path(self._settings)),
            allowed=self._settings.docker_allow_host_access,
        )
        limits = Limits(
            connections=self._settings.worker_connections,
            connections_of_one_user=self._settings.worker_connections_per_user,
        )
        return await server.serve(bound, self._engine_socket, self._runs, rules, limits)

    async def close(self) -> None:
        await self._engine.close()


@asynccontextmanager
async def docker_service(
    settings: WorkerSettings, database: Database, runs_root: Path | None
) -> AsyncIterator[DockerService | None]:
    """None if jobs get no Docker socket here."""
    if settings.docker is None:
        yield None
        return
    engine_socket = Path(settings.docker.removeprefix("unix://"))
    service = DockerService(settings, engine_socket, database, runs_root)
    try:
        yield service
    finally:
        await service.close()
