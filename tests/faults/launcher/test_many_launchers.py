"""A host with more live runs than its worker may open files."""

import os
import signal
from typing import Final

from tools.support.system import System
from tools.support.waiting import eventually
from tools.support.waiting_commands import add_open, add_running, launcher

_FILES: Final = 256
_RUNS: Final = range(1, 401)
_CANCELED: Final = range(1, 21)


async def test_the_worker_stops_runs_and_notices_those_that_are_lost(system: System) -> None:
    async with launcher() as alive:
        await add_running(system.database, _RUNS, system.host, alive)
        await add_open(system.database, _CANCELED)

        await system.worker(within=("prlimit", f"--nofile={_FILES}:{_FILES}"), host_heartbeat=0.2)

        assert await _reached(system, "canceled", len(_CANCELED))
        assert await _count(system, "running") == len(_RUNS) - len(_CANCELED)
        os.kill(alive.pid, signal.SIGKILL)
        assert await _reached(system, "error", len(_RUNS) - len(_CANCELED))


async def _reached(system: System, status: str, number: int) -> bool:
    async def is_so() -> bool:
        return await _count(system, status) == number

    return await eventually(is_so, what=f"the number of runs {status}")


async def _count(system: System, status: str) -> int:
    found: int = await system.database.fetchval(
        "SELECT count(*) FROM runs WHERE status = $1", status
    )
    return found
