"""The documents' scripts for runners, run as they stand there, by a job's user where we can."""

import asyncio
import os
import shlex
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.launcher.job_user import outcome, runner_environment
from tests.support.repository.documents import code_block
from tests.support.rights.privileges import NOBODY, as_user, why_no_users
from tools.demo.account import choose
from tools.support.processes import BAD_CHILD, alive, until_gone
from tools.support.system import System

SHELLS = {
    "run-job": "sh",
    "run-in-scratch": "sh",
    "start-runner": "sh",
    "job-started": "sh",
    "gitlab-run": "sh",
}
COMMAND_HOOK = "command"
# As the agent does it: it sources the hook, and looks at how that ended.
AGENT = '. "$1"; code=$?; echo "hook ended: $code"; exit "$code"'


class Host:
    """A runner host on which the document was followed."""

    def __init__(self, system: System, directory: Path, through: tuple[str, ...]) -> None:
        self.system = system
        self.directory = directory
        self.mark = f"mark-{uuid4().hex}"
        self._through = through
        account = choose(directory)
        self._python = account.python
        self._started: list[asyncio.subprocess.Process] = []
        for name, shell in {**SHELLS, COMMAND_HOOK: "bash"}.items():
            self.write(name, code_block(f"{shell} {name}"))
        # Ours may be out of that user's reach.
        self.write("bin/cancel-exec", f'#!/bin/sh\nexec {shlex.join(account.launcher)} "$@"\n')

    def write(self, name: str, text: str) -> Path:
        file = self.directory / name
        file.write_text(text)
        file.chmod(0o755)
        return file

    def job(self, kind: str) -> tuple[str, ...]:
        """A command that misbehaves."""
        return (self._python, "-S", str(BAD_CHILD), kind, self.mark)

    async def start(self, *command: str, **env: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *self._through,
            *command,
            cwd=self.directory,
            env={
                **runner_environment(),
                "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}",
                "CANCEL_WORKER_SOCKET": str(self.system.socket()),
                "TMPDIR": str(self.directory / "tmp"),
                **env,
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self._started.append(process)
        return process

    async def script(self, name: str, *arguments: str, **env: str) -> asyncio.subprocess.Process:
        return await self.start(str(self.directory / name), *arguments, **env)

    async def canceled(self, process: asyncio.subprocess.Process, run_id: int = 1) -> int:
        """Cancel the run once its job is up; the script's exit code, when all is over."""
        await ready(process)
        row = await self.system.outcome_of(await self.system.publish(run_id, grace_seconds=0.3))
        assert (row["outcome"], (await self.system.run(run_id))["status"]) == (
            *("canceled", "canceled"),
        )
        # Only now: the script has the mark among its own arguments.
        code, _, _ = await outcome(process)
        await until_gone(self.mark, deadline=0)
        return code

    async def end(self) -> None:
        for pid in alive(self.mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._started:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def ready(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"ready\n"


@pytest.fixture
async def host(system: System) -> AsyncIterator[Host]:
    await system.worker()
    directory = system.directory / "host"
    (directory / "tmp").mkdir(parents=True)
    (directory / "bin").mkdir()
    through: tuple[str, ...] = ()
    if choose(directory).uid is not None and why_no_users() is None:
        through = as_user(NOBODY)
        os.chown(directory / "tmp", NOBODY, NOBODY)
    host = Host(system, directory, through)
    try:
        yield host
    finally:
        await host.end()


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


GITLAB = {"BUILD_FAILURE_EXIT_CODE": "81", "SYSTEM_FAILURE_EXIT_CODE": "82"}


def stage(host: Host, script: str) -> str:
    """The script of a stage, as GitLab's runner writes it."""
    return str(host.write("script", f"#!/bin/sh\n{script}\n"))


@pytest.mark.parametrize("name", ["build_script", "step_script"])
@pytest.mark.parametrize(
    ("script", "code", "status"), [("exit 0", 0, "pass"), ("exit 3", 81, "fail")]
)
async def test_gitlabs_stage_with_the_users_commands_is_the_run(
    host: Host, name: str, script: str, code: int, status: str
) -> None:
    await host.system.add_run(1)

    process = await host.script(
        "gitlab-run", stage(host, script), name, CUSTOM_ENV_CI_JOB_ID="1", **GITLAB
    )

    assert (await outcome(process))[0] == code
    assert (await host.system.run(1))["status"] == status


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 81)])
async def test_gitlabs_other_stages_are_no_runs(host: Host, script: str, code: int) -> None:
    await host.system.add_run(1)

    process = await host.script(
        "gitlab-run", stage(host, script), "get_sources", CUSTOM_ENV_CI_JOB_ID="1", **GITLAB
    )

    assert (await outcome(process))[0] == code
    assert (await host.system.run(1))["status"] == "queued"


async def test_gitlabs_job_is_canceled_with_all_it_started(host: Host) -> None:
    await host.system.add_run(1)
    script = stage(host, shlex.join(host.job("daemon")))

    process = await host.script(
        "gitlab-run", script, "build_script", CUSTOM_ENV_CI_JOB_ID="1", **GITLAB
    )

    assert await host.canceled(process) == 81


async def test_gitlabs_runner_ends_its_job_by_sigterm(host: Host) -> None:
    await host.system.add_run(1)
    script = stage(host, shlex.join(host.job("sleeps")))
    process = await host.script(
        "gitlab-run", script, "build_script", CUSTOM_ENV_CI_JOB_ID="1", **GITLAB
    )
    await ready(process)

    process.terminate()

    assert (await outcome(process))[0] == 81
    await until_gone(host.mark, deadline=0)
    assert (await host.system.run(1))["status"] == "fail"


async def test_gitlab_hears_of_a_run_that_cannot_start_as_a_fault_of_the_system(
    host: Host,
) -> None:
    await host.system.add_run(1)
    assert (await outcome(await host.script("run-job", "1", "true")))[0] == 0

    process = await host.script(
        "gitlab-run", stage(host, "exit 0"), "build_script", CUSTOM_ENV_CI_JOB_ID="1", **GITLAB
    )

    assert (await outcome(process))[0] == 82
