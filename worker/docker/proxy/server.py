"""Serves the socket: accepts connections, within limits, and ends them when it is closed."""

import asyncio
import socket
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from shared.aio.tasks import end
from shared.http.connection_slots import ConnectionLimiter, ConnectionSlots
from shared.lifecycle import most_files
from worker.docker.proxy.connection import ClientConnection, Service
from worker.docker.proxy.limits import Limits
from worker.docker.rules.checks import Checks
from worker.docker.rules.host_access import HostAccess
from worker.docker.runs import Runs
from worker.processes.peer import credentials_of

log = structlog.get_logger(__name__)

# Extra slots, so that refused clients are told to retry.
_EXTRA_SLOTS: Final = 100
# Connections in the kernel's queue cost us nothing, and are served in turn.
_BACKLOG: Final = 1024
_PAUSE: Final = 0.1  # seconds, after a failed accept


class DockerSocket:
    """Serves until closed."""

    def __init__(self, bound: socket.socket, service: Service, limiter: ConnectionLimiter) -> None:
        self._bound = bound
        self._service = service
        self._limiter = limiter
        self._connections: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    async def close(self) -> None:
        """Accept no more connections, and end those that are open, with what they build."""
        await end(self._accepting)
        self._bound.close()
        for task in self._connections:
            task.cancel()
        for task in list(self._connections):
            await end(task)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._bound)
            except OSError as error:  # such as no more files
                log.warning("docker_connection_not_accepted", error=error.strerror)
                await asyncio.sleep(_PAUSE)
                continue
            task = asyncio.create_task(self._serve(connection))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _serve(self, connection: socket.socket) -> None:
        client = ClientConnection(self._service, connection)
        slots = None
        try:
            slots = self._limiter.admit(client, asyncio.BaseTransport({"socket": connection}))
            if slots is not None:
                await client.serve(slots, is_over_limit=slots is not self._limiter.main)
        except Exception:
            log.exception("docker_connection_failed")
        finally:
            if slots is not None:
                slots.release(client)
            client.close()


async def serve(
    bound: socket.socket, engine: Path, runs: Runs, rules: HostAccess, limits: Limits | None = None
) -> DockerSocket:
    """Serve at `bound` what the engine at the Unix socket `engine` offers."""
    limits = _affordable(limits or Limits())
    limiter = ConnectionLimiter(
        "Docker socket",
        (
            ConnectionSlots(limits.connections, limits.connections_of_one_user),
            ConnectionSlots(_EXTRA_SLOTS),
        ),
        _user_of,
    )
    bound.listen(_BACKLOG)
    bound.setblocking(False)
    return DockerSocket(bound, Service(engine, runs, Checks(runs, rules), limits), limiter)


def _affordable(limits: Limits) -> Limits:
    """At most a quarter of our open files, of which each connection has two."""
    most = min(limits.connections, most_files() // 8)
    return replace(
        limits,
        connections=most,
        connections_of_one_user=min(limits.connections_of_one_user, max(most // 2, 1)),
    )


def _user_of(transport: asyncio.BaseTransport) -> Hashable:
    return credentials_of(transport.get_extra_info("socket")).uid
