"""Who asks for containers, and whether it may start any."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

from asyncpg import Record

from shared.postgres import sql
from shared.postgres.database import Database
from worker.docker.engine.cgroup_parents import is_in, launch_in, parent_for
from worker.docker.engine.client import Engine
from worker.docker.gates import Gate, GateClosed, Gates
from worker.docker.runs import Named
from worker.docker.scope import Scope
from worker.processes.cgroup import path_of
from worker.processes.cgroup_names import run_id_of
from worker.processes.identity import ProcessStat, boot_id, read_stat
from worker.processes.peer import NotAllowed, caller_of
from worker.processes.scan import read_launch_id

_OUTSIDE: Final = "only the processes of a run may use this socket"


class AskingRuns:
    """The runs of `host`; `runs_root` is the parent of their cgroups, None without cgroups."""

    def __init__(
        self, database: Database, host: str, runs_root: Path | None, engine: Engine, gates: Gates
    ) -> None:
        self._database = database
        self._host = host
        self._runs_root = runs_root
        self._engine = engine
        self._gates = gates
        self._boot_id = boot_id()

    async def of_peer(self, connection: socket.socket) -> Scope:
        """The run that the process at the other end belongs to, as the kernel tells.

        Raises NotAllowed and ServiceUnavailable.
        """
        stat, uid = caller_of(connection)
        row = await self._run_of(stat, uid)
        if row is None:
            raise NotAllowed(_OUTSIDE)
        launch_id: UUID = row["launch_id"]
        gate = self._gates.of(launch_id)
        parent = gate.cgroup_parent or row["containers_in"]
        if parent is None:
            gate.began_here = True
            parent = await parent_for(launch_id, row["cgroup"], self._engine)
        return Scope(row["run_id"], launch_id, parent)

    @asynccontextmanager
    async def starting(self, scope: Scope) -> AsyncIterator[None]:
        """Around a request that starts something. Raises GateClosed and ServiceUnavailable."""
        gate = self._gates.of(scope.launch_id)
        # In flight from here on: a stop that begins while this is recorded waits for it.
        with gate.starting():
            await self._note(scope, gate)
            yield

    @asynccontextmanager
    async def building(self, scope: Scope, cut: Callable[[], None]) -> AsyncIterator[None]:
        """Around a connection over which images are built; `cut` closes it. Raises likewise."""
        async with self.starting(scope):
            gate = self._gates.of(scope.launch_id)
        with gate.building(cut):  # the gate may have been closed meanwhile
            yield

    def copying(self, scope: Scope, cut: Callable[[], None]) -> AbstractContextManager[None]:
        """Around a request that copies files; `cut` closes the connection. Raises GateClosed."""
        return self._gates.of(scope.launch_id).copying(cut)

    async def labeled(self, scope: Scope, name: str) -> str | None:
        """The id of the run's container of this name or id, as its label tells; None if none is.

        Answered also while files are copied. Raises ServiceUnavailable.
        """
        return await self._engine.labeled(scope.launch_id, name)

    async def container(self, scope: Scope, name: str) -> Named | None:
        """The container of this name or id; None if there is none. Raises ServiceUnavailable."""
        found = await self._engine.container(name)
        if found is None:
            return None
        own = (str(scope.launch_id), scope.cgroup_parent)
        return Named(found.id, is_own=(found.launch, found.cgroup_parent) == own)

    async def container_of_exec(self, exec_id: str) -> str | None:
        """The container that an exec belongs to; None if there is none."""
        return await self._engine.container_of_exec(exec_id)

    async def _note(self, scope: Scope, gate: Gate) -> None:
        """Put on record that the run may have containers, before it has one."""
        if gate.cgroup_parent is not None:
            return
        noted = await self._database.fetchrow(
            sql.containers.NOTE, scope.run_id, scope.launch_id, scope.cgroup_parent
        )
        if noted is None:
            raise GateClosed("the run is being stopped, or is over")
        gate.cgroup_parent = noted["containers_in"]

    async def _run_of(self, stat: ProcessStat, uid: int) -> Record | None:
        """The run of a process of `uid`, in its cgroup or in a container, or by its environment."""
        inside = path_of(stat.thread)
        if inside is None:
            return None if self._runs_root else await self._marked(stat, uid)
        if self._runs_root is not None and self._runs_root in inside.parents:
            name = inside.relative_to(self._runs_root).parts[0]
            return await self._database.fetchrow(
                sql.containers.FIND_BY_CGROUP,
                self._host,
                self._boot_id,
                run_id_of(name),
                str(self._runs_root / name),
            )
        if (launch_id := launch_in(inside)) is not None:
            row = await self._find(launch_id)
            parent = None if row is None else row["containers_in"]
            return row if parent is not None and is_in(inside, parent) else None
        return await self._marked(stat, uid)

    async def _marked(self, stat: ProcessStat, uid: int) -> Record | None:
        """By the launch id in its environment or in that of an ancestor, for runs without cgroup.

        Only for the user that started the run, as a job can choose its environment.
        """
        pid: int | None = stat.identity.pid
        while pid:
            found = read_launch_id(pid)
            if isinstance(found, UUID):
                row = await self._find(found)
                return row if row is not None and row["uid"] == uid and not row["cgroup"] else None
            parent = read_stat(pid)
            pid = parent.parent if parent else None
        return None

    async def _find(self, launch_id: UUID) -> Record | None:
        return await self._database.fetchrow(
            sql.containers.FIND_BY_LAUNCH, self._host, self._boot_id, launch_id
        )
