"""The document's script for GitLab's custom executor, called as GitLab's runner does."""

import shlex

import pytest

from tests.support.launcher.job_user import outcome
from tests.support.platforms.runner_host import Host, ready
from tools.support.processes import until_gone

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
