"""The last request of a launcher may still be at work in the worker when the launcher is dead."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import uuid4

import pytest

from shared.configuration.settings import DatabaseSettings
from shared.postgres import sql
from shared.postgres.database import Database, connected
from shared.runs import RunProcess
from shared.states import Containment
from tests.support.launcher.launching import sleeping_child
from tools.support.rows import RUNNING, insert
from worker.launches.lost_runs import LostRunWatch
from worker.memory.memory import Memory
from worker.outbox.relay import Relay
from worker.processes.identity import boot_id, read_stat
from worker.processes.known_launchers import KnownLaunchers
from worker.stop.run_stopper import RunStopper


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    settings = DatabaseSettings.model_validate({"DATABASE_URL": database_url})
    async with connected(settings) as opened:
        yield opened


class NoRelay:
    def wake(self) -> None:
        """The event of a loss stays in the outbox."""


async def _running(database: Database, launcher: int) -> RunProcess:
    """Run 1, on record as running, with this launcher; its command has ended."""
    stat = read_stat(launcher)
    assert stat is not None
    process = RunProcess(
        host="h1",
        boot_id=boot_id(),
        pid=2**22 + 1,  # nobody's: beyond the kernel's limit
        start_ticks=1,
        launcher_pid=launcher,
        launcher_start_ticks=stat.identity.start_ticks,
        uid=0,
        launch_id=uuid4(),
        containment=Containment.SESSION,
        cgroup=None,
    )
    row: dict[str, Any] = {**RUNNING, "run_id": 1, "launch_id": str(process.launch_id)}
    async with database.transaction() as connection:
        await insert(connection, "runs", row)
    return process


def _watch(database: Database, tasks: asyncio.TaskGroup) -> LostRunWatch:
    launchers = KnownLaunchers()
    return LostRunWatch(
        *(database, "h1", tasks, 1.0, launchers, RunStopper(launchers)),
        cast(Relay, NoRelay()),
        Memory(),
    )


async def test_a_run_whose_end_is_recorded_just_after_its_launcher_died_is_not_lost(
    database: Database,
) -> None:
    async with sleeping_child() as launcher:
        process = await _running(database, launcher)
        async with asyncio.TaskGroup() as tasks:
            watch = _watch(database, tasks)
            watch.watch(1, process)
            os.kill(launcher, signal.SIGKILL)
            # As the API does once the exit code is on record; here, it is not.
            asyncio.get_running_loop().call_later(0.1, watch.forget, process.launch_id)

    row = await database.fetchrow(sql.runs.FIND_RUN, 1)
    assert row is not None
    assert (row["status"], row["loss"]) == ("running", None)


@pytest.mark.filterwarnings("error")  # a coroutine that was never awaited is a warning
async def test_a_claim_that_outlives_the_worker_is_left_to_the_next_one(database: Database) -> None:
    async with sleeping_child() as launcher:
        process = await _running(database, launcher)
        async with asyncio.TaskGroup() as tasks:
            watch = _watch(database, tasks)

        watch.watch(1, process)
