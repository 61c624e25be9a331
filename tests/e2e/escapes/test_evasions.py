"""What the kernel offers to a job that wants to outlive its cancel, tried one by one."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.support.launcher.job_user import JobUser
from tools.support.processes import alive, until_gone
from tools.support.program import DEADLINE
from tools.support.system import System

EVASIONS = Path(__file__).parents[2] / "support" / "launcher" / "evasions.py"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="system calls are x86-64's")
@pytest.mark.parametrize("containment", ["cgroup", "session"])
@pytest.mark.parametrize(
    "kind",
    [
        "namespaces",
        "own_cgroup_mount",
        "hidden_proc",
        "seccomp_notify",
        "io_uring",
        "traced_exit",
        "vfork",
        "sibling",
        "passed_socket",
    ],
)
async def test_it_is_killed_to_the_last_process(
    system: System, kind: str, containment: str
) -> None:
    await system.worker(containment=containment)
    await system.add_run(1)
    user, mark = JobUser(system), system.new_mark()
    script = EVASIONS.read_text()
    launched = await user.launch(
        1, user.python, "-S", "-c", script, kind, mark, str(system.socket())
    )
    assert launched.stdout is not None
    assert launched.stderr is not None
    async with asyncio.timeout(DEADLINE):
        if await launched.stdout.readline() != b"ready\n":
            pytest.skip(f"not possible here: {(await launched.stderr.read()).decode()[-200:]}")
    assert alive(mark)

    row = await system.outcome_of(await system.publish(1, grace_seconds=0.3))

    assert (row["outcome"], row["evidence"]["ended"]) == ("canceled", "killed")
    await until_gone(mark, deadline=0)
