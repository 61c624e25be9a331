"""The scheduler in docs/platforms.md, as it stands there, with a gateway and a host of ours."""

import asyncio
import os
import signal

import pytest

from gateway.auth.access import Scope
from tests.support.launcher.job_user import outcome
from tests.support.platforms.runner_host import Host, ready
from tools.support.processes import until_gone

# What sshd does with the words that it gets: it joins them for a shell.
SSH = """#!/bin/sh
[ "$1" = build-host ] || exit 255
shift
exec sh -c "$*"
"""


async def schedule(host: Host, name: str, *command: str) -> asyncio.subprocess.Process:
    """Run 1 on the host of that name."""
    host.write("bin/ssh", SSH)
    scopes = (Scope.RUNS_REGISTER, Scope.RUNS_READ, Scope.RUNS_WRITE)
    return await host.start(
        *(host.python, str(host.directory / "schedule"), "1", name, *command),
        RUN_CANCEL_URL=await host.system.gateway(),
        RUN_CANCEL_TOKEN=await host.system.token(subject="scheduler", scopes=scopes),
    )


@pytest.mark.parametrize(
    ("script", "code", "status"),
    # As xargs does; cancel-exec has the same code for a run that was canceled.
    [('[ "$1" = "a  b" ]', 0, "pass"), ("exit 3", 3, "fail"), ("exit 123", 123, "fail")],
)
async def test_a_scheduled_jobs_exit_code_is_handed_on(
    host: Host, script: str, code: int, status: str
) -> None:
    process = await schedule(host, "build-host", "sh", "-c", script, "sh", "a  b")

    assert await outcome(process) == (code, "", [f"run 1: {status}"])
    run = await host.system.run(1)
    assert (run["status"], run["labels"]) == (status, '{"host": "build-host"}')


async def test_a_scheduler_that_is_told_to_end_cancels_its_job(host: Host) -> None:
    process = await schedule(host, "build-host", *host.job("daemon"))
    await ready(process)
    await host.system.database.execute("UPDATE runs SET grace_seconds = 0.3")

    # From a terminal, where the whole process group hears of it.
    os.killpg(process.pid, signal.SIGINT)

    code, _, errors = await outcome(process)
    assert (code, errors[-1]) == (143, "run 1: canceled")
    await until_gone(host.mark, deadline=0)
    (cancellation,) = await host.system.cancellations(1)
    assert (cancellation["outcome"], cancellation["requested_by"], cancellation["reason"]) == (
        *("canceled", "scheduler", "stopped by the scheduler"),
    )


async def test_a_job_that_cannot_be_started_is_not_started_later(host: Host) -> None:
    process = await schedule(host, "elsewhere", "true")

    assert await outcome(process) == (125, "", ["run 1: canceled"])
    (cancellation,) = await host.system.cancellations(1)
    assert (cancellation["reason"], cancellation["evidence"]["proof"]) == (
        *("not started: exit code 255", "never_started"),
    )
