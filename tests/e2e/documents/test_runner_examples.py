"""The documents' scripts for runners, run as they stand there, by a job's user where we can."""

import pytest

from tests.support.launcher.job_user import outcome
from tests.support.platforms.runner_host import Host, ready
from tools.support.processes import until_gone

COMMAND_HOOK = "command"
# As the agent does it: it sources the hook, and looks at how that ended.
AGENT = '. "$1"; code=$?; echo "hook ended: $code"; exit "$code"'


@pytest.mark.parametrize("script", ["run-job", "run-in-scratch"])
async def test_a_script_hands_the_exit_code_on(host: Host, script: str) -> None:
    await host.system.add_run(1)

    process = await host.script(script, "1", "sh", "-c", 'echo "$1"; exit 3', "sh", "a  b")

    assert await outcome(process) == (3, "a  b\n", [])
    run = await host.system.run(1)
    assert (run["status"], run["exit_code"]) == ("fail", 3)
    assert list((host.directory / "tmp").iterdir()) == []


@pytest.mark.parametrize("script", ["run-job", "run-in-scratch"])
async def test_a_scripts_job_is_canceled_with_all_it_started(host: Host, script: str) -> None:
    await host.system.add_run(1)

    process = await host.script(script, "1", *host.job("daemon"))

    assert await host.canceled(process) == 143
    assert list((host.directory / "tmp").iterdir()) == []


@pytest.mark.parametrize("script", ["run-job", "run-in-scratch"])
async def test_a_script_that_is_told_to_end_ends_its_job(host: Host, script: str) -> None:
    await host.system.add_run(1)
    process = await host.script(script, "1", *host.job("sleeps"))
    await ready(process)

    process.terminate()

    code, _, _ = await outcome(process)
    assert code == 143
    await until_gone(host.mark, deadline=0)
    assert (await host.system.run(1))["status"] == "fail"
    assert list((host.directory / "tmp").iterdir()) == []


@pytest.mark.parametrize("example", ["run-job", "run-in-scratch", "start-runner", COMMAND_HOOK])
async def test_a_job_that_ends_with_0_when_it_is_canceled_is_no_success(
    host: Host, example: str
) -> None:
    await host.system.add_run(1)
    ends_well = "trap 'exit 0' TERM; sleep 1000 & echo ready; wait"
    host.write("run.sh", f"#!/bin/sh\n{ends_well}\n")
    arguments = ("c0nfig",) if example == "start-runner" else ("sh", "-c", ends_well)
    command = (str(host.directory / example), "1", *arguments)
    if example == COMMAND_HOOK:
        command = ("bash", "-c", AGENT, "bash", str(host.directory / example))
    env = {"RUN_ID": "1", "BUILDKITE_COMMAND": ends_well, "RUNNER_HOME": str(host.directory)}

    process = await host.start(*command, **env)

    assert await host.canceled(process) == 143


async def test_a_script_says_what_was_not_started(host: Host) -> None:
    for run_id in (1, 2):
        await host.system.add_run(run_id)
    await host.system.outcome_of(await host.system.publish(1))
    assert (await outcome(await host.script("run-job", "2", "true")))[0] == 0

    canceled = await outcome(await host.script("run-in-scratch", "1", "true"))
    finished = await outcome(await host.script("run-in-scratch", "2", "true"))

    assert (canceled[0], canceled[2][-1]) == (123, "run 1 was canceled before it started")
    assert (finished[0], finished[2][-1]) == (125, "run 2 did not start, or is not on record")


async def test_an_ephemeral_runner_is_canceled_with_its_job(host: Host) -> None:
    await host.system.add_run(1)
    runner = host.directory / "actions-runner"
    runner.mkdir()
    # As theirs: a shell that starts a listener, which starts the job.
    run = host.write(
        "actions-runner/run.sh",
        f'#!/bin/sh\n[ "$1" = --jitconfig ] && [ "$2" = c0nfig ] || exit 9\n'
        f"{host.directory}/job-started || exit 1\n"
        f"{' '.join(host.job('ignores_term'))} &\nwait\n",
    )
    assert run.exists()

    process = await host.script(
        "start-runner", "1", "c0nfig", RUNNER_HOME=str(runner), GITHUB_JOB="build"
    )

    assert process.stdout is not None
    assert await process.stdout.readline() == b"job build is run 1\n"
    assert await host.canceled(process) == 143


async def test_a_job_whose_runner_no_cancel_would_reach_does_not_start(host: Host) -> None:
    code, out, errors = await outcome(await host.script("job-started"))

    assert (code, out) == (1, "")
    assert errors == ["this runner was not started by cancel-exec: its jobs could not be canceled"]


async def test_the_command_hook_hands_the_exit_code_on(host: Host) -> None:
    await host.system.add_run(1)

    process = await host.start(
        *("bash", "-c", AGENT, "bash", str(host.directory / COMMAND_HOOK)),
        RUN_ID="1",
        BUILDKITE_COMMAND="false\necho not reached",
    )

    assert await outcome(process) == (1, "hook ended: 1\n", [])
    assert (await host.system.run(1))["status"] == "fail"


async def test_the_command_hooks_job_is_canceled_with_all_it_started(host: Host) -> None:
    await host.system.add_run(1)

    process = await host.start(
        *("bash", "-c", AGENT, "bash", str(host.directory / COMMAND_HOOK)),
        RUN_ID="1",
        BUILDKITE_COMMAND=" ".join(host.job("setsid_child")),
    )

    assert await host.canceled(process) == 143


async def test_the_command_hook_refuses_a_job_without_a_run(host: Host) -> None:
    code, _, errors = await outcome(await host.script(COMMAND_HOOK, BUILDKITE_COMMAND="true"))

    assert code == 1
    assert errors == ["no RUN_ID in the environment: this job could not be canceled"]
