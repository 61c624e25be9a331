"""A run may be registered at the very moment at which its launcher asks for it."""

from typing import Any
from uuid import uuid4

import asyncpg

from shared.runs import RunProcess
from shared.states import Containment, RunStatus
from tools.support.system import System
from worker.launches import store


class _RunAddedAfterTheFirstStatement:
    """A connection on which run 1 is added between two statements of the claim."""

    def __init__(self, connection: Any, system: System) -> None:
        self._connection = connection
        self._system = system
        self._added = False

    async def fetchval(self, *arguments: object) -> Any:
        found = await self._connection.fetchval(*arguments)
        if not self._added:
            self._added = True
            await self._system.add_run(1)
        return found

    async def fetchrow(self, *arguments: object) -> Any:
        return await self._connection.fetchrow(*arguments)


async def test_a_run_that_is_registered_during_the_claim_is_claimed(system: System) -> None:
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(system.database_url)
    try:
        async with connection.transaction():
            racing: Any = _RunAddedAfterTheFirstStatement(connection, system)
            claimed, run, _ = await store.claim_or_find(racing, 1, _process(system.host))
    finally:
        await connection.close()

    assert claimed
    assert run is not None
    assert run["status"] == RunStatus.RUNNING
    assert await system.database.fetchval("SELECT status FROM runs WHERE run_id = 1") == "running"


def _process(host: str) -> RunProcess:
    return RunProcess(
        host=host,
        boot_id=uuid4(),
        pid=100,
        start_ticks=1,
        launcher_pid=99,
        launcher_start_ticks=1,
        uid=0,
        launch_id=uuid4(),
        containment=Containment.SESSION,
        cgroup=None,
        pid_namespace=None,
        cgroup_inode=None,
    )
