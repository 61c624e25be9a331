"""Where jobs take all processors, the worker that is to stop them gets one first."""

import os
from pathlib import Path

import pytest

from tools.support.system import System


def why_no_precedence() -> str | None:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) - 1)
    except PermissionError:
        return "nobody goes first without CAP_SYS_NICE"
    os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) + 1)
    return None


@pytest.mark.skipif(why_no_precedence() is not None, reason=str(why_no_precedence()))
async def test_the_worker_goes_before_the_jobs_of_its_host(system: System) -> None:
    worker = await system.worker()
    await system.launch_bad_child(1, "obeys")
    job = (await system.run(1))["pid"]

    assert os.getpriority(os.PRIO_PROCESS, worker.process.pid) < 0
    assert os.getpriority(os.PRIO_PROCESS, job) == os.getpriority(os.PRIO_PROCESS, 0)
    group = _autogroup(worker.process.pid)
    assert not group or int(group.split()[-1]) < 0


def _autogroup(pid: int) -> str:
    """The group of sched(7) that the process is in; empty where it is in none."""
    try:
        return Path(f"/proc/{pid}/autogroup").read_text()
    except FileNotFoundError:
        return ""
