"""A host whose worker is away, with runs and open commands on them."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from worker.processes.cgroup import mount_point
from worker.processes.identity import Identity, boot_id, pid_namespace, read_stat

_NOBODY: Final = 65534
_NO_PID: Final = 2**22
"""From here on, there are no pids (proc(5), pid_max)."""

# Neither has a process any more, but for one launcher that is alive: a run that loses it becomes
# `error` by itself. As their cgroups are gone, they are proved gone at the first look.
_RUNNING: Final = """
    INSERT INTO runs (run_id, status, started_at, host, boot_id, pid_namespace, pid, start_ticks,
                      launcher_pid, launcher_start_ticks, uid, launch_id, containment, cgroup)
    SELECT n, 'running', now(), $3, $4, $5, $6::int + n, $8, $7, $8, $9, gen_random_uuid(),
           'cgroup', $10 || n
      FROM generate_series($1::bigint, $2) n
"""
# As the worker of another host leaves them.
_OPEN: Final = """
    INSERT INTO cancellations (command_id, run_id, via, requested_by, reason, force)
    SELECT gen_random_uuid(), run_id, 'rest', 'bench', 'superseded by a newer commit', false
      FROM runs WHERE run_id BETWEEN $1 AND $2
"""


class _Database(Protocol):
    async def execute(self, query: str, *args: Any) -> str:
        """Carry out a statement."""


@asynccontextmanager
async def launcher() -> AsyncIterator[Identity]:
    """One that lives, and represents those of all runs."""
    process = subprocess.Popen(  # noqa: ASYNC220 - uvloop starts none as another user
        ["/bin/sleep", "100000"], start_new_session=True
    )
    try:
        stat = read_stat(process.pid)
        assert stat is not None
        yield stat.identity
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


async def add_running(
    database: _Database, run_ids: range, host: str, its_launcher: Identity
) -> None:
    """Runs that are going on, by the record, and whose processes are gone."""
    await database.execute(
        _RUNNING,
        run_ids[0],
        run_ids[-1],
        host,
        boot_id(),
        pid_namespace(),
        _NO_PID,
        its_launcher.pid,
        its_launcher.start_ticks,
        _NOBODY,
        f"{mount_point()}/gone-",
    )


async def add_open(database: _Database, run_ids: range) -> None:
    """An open command on each of the runs."""
    await database.execute(_OPEN, run_ids[0], run_ids[-1])
