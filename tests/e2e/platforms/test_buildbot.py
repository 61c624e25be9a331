"""A Buildbot master and worker, set up as docs/platforms.md says: its builds are our runs."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.auth.access import Scope
from tests.support.http.api import Api
from tests.support.platforms.buildbot import Buildbot
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.processes import BAD_CHILD, until_gone
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

BLOCKS = "echo ready; exec sleep 1000"
SCOPES = (Scope.RUNS_READ, Scope.RUNS_WRITE, Scope.RUNS_REGISTER)
# Until it has become `sleep`, the child of a shell with a trap swallows the signal.
CLEANS_UP = """trap 'echo cleaned up; exit 0' TERM
sleep 1000 &
until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done
echo ready
wait"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("buildbot")) as running:
        await running.worker(grace_seconds=3)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(system: System) -> str:
    return await system.gateway()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def buildbot(system: System, gateway: str) -> AsyncIterator[Buildbot]:
    token = await system.token(subject="buildbot", scopes=SCOPES)
    buildbot = Buildbot(system.directory, system.http, str(Path(sys.executable).parent))
    async with buildbot.running(gateway, token, system.socket()) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(system: System, gateway: str) -> Api:
    return Api(gateway, system.http, await system.token(subject="alice"))


async def started(buildbot: Buildbot, script: str) -> tuple[int, int]:
    """Start a build, wait until its job is ready; the build and its run."""
    buildbot.script(script)
    request = await buildbot.force()
    build = await buildbot.build(request)
    await buildbot.prints("ready")
    return build, request * 1000 + 1


async def is_registered(system: System, run_id: int) -> bool:
    query = "SELECT EXISTS (SELECT FROM runs WHERE run_id = $1)"
    return bool(await system.database.fetchval(query, run_id))


@pytest.mark.parametrize(
    ("script", "result", "status"),
    [
        ("exit 0", "success", "pass"),
        ("exit 3", "failure", "fail"),
        # As xargs does; cancel-exec has the same code for a run that was canceled.
        ("exit 123", "failure", "fail"),
    ],
)
async def test_a_build_is_a_run_that_ends_as_its_job_does(
    system: System, buildbot: Buildbot, script: str, result: str, status: str
) -> None:
    buildbot.script(script)

    request = await buildbot.force()
    build = await buildbot.build(request)

    assert await buildbot.result(build) == result
    run_id = await buildbot.run_id(build)
    run = await system.run(run_id)
    assert (run_id, run["status"]) == (request * 1000 + 1, status)
    assert json.loads(run["labels"]) == {"builder": "build", "build_request": str(request)}
    assert await system.cancellations(run_id) == []


async def test_a_cancel_over_rest_shows_the_build_as_canceled(
    system: System, buildbot: Buildbot, api: Api
) -> None:
    mark = system.new_mark()
    build, run_id = await started(buildbot, f"{sys.executable} -S {BAD_CHILD} daemon {mark}")

    answer = await api.cancel(run_id, {"reason": "superseded"})

    assert answer.status == 202
    assert await buildbot.result(build) == "cancelled"
    await until_gone(mark, deadline=0)
    assert (await system.run(run_id))["status"] == "canceled"
    assert f"run {run_id} was canceled by alice (via rest): superseded" in await buildbot.output(
        build
    )


async def test_buildbots_stop_button_gives_the_job_its_grace_period(
    system: System, buildbot: Buildbot
) -> None:
    build, run_id = await started(buildbot, CLEANS_UP)

    await buildbot.stop(build, "not needed")

    assert await buildbot.result(build) == "cancelled"
    assert "cleaned up" in buildbot.printed()
    assert (await system.run(run_id))["status"] == "canceled"
    (cancellation,) = await system.cancellations(run_id)
    assert (cancellation["outcome"], cancellation["requested_by"], cancellation["reason"]) == (
        *("canceled", "buildbot", "Buildbot: not needed"),
    )
    assert cancellation["evidence"]["ended"] == "obeyed"
    assert cancellation["evidence"]["proof"]


async def test_a_run_that_is_canceled_while_its_build_is_queued_never_starts(
    system: System, buildbot: Buildbot, api: Api
) -> None:
    running, _ = await started(buildbot, BLOCKS)
    request = await buildbot.force()
    run_id = request * 1000 + 1
    await eventually(lambda: is_registered(system, run_id))

    await api.cancel(run_id)
    await system.status_becomes(run_id, "canceled")
    buildbot.script("echo started")
    await buildbot.stop(running, "not needed")

    build = await buildbot.build(request)
    assert await buildbot.result(build) == "cancelled"
    output = await buildbot.output(build)
    assert f"run {run_id} was canceled before it started, by alice (via rest)" in output
    assert buildbot.printed() == []


async def test_a_build_that_is_canceled_in_buildbots_queue_is_canceled_on_record(
    system: System, buildbot: Buildbot
) -> None:
    running, _ = await started(buildbot, BLOCKS)
    request = await buildbot.force()
    run_id = request * 1000 + 1
    await eventually(lambda: is_registered(system, run_id))

    await buildbot.cancel_request(request)

    assert await buildbot.request_result(request) == "cancelled"
    await system.status_becomes(run_id, "canceled")
    (cancellation,) = await system.cancellations(run_id)
    assert cancellation["evidence"]["proof"] == "never_started"
    await buildbot.stop(running, "not needed")
    assert await buildbot.result(running) == "cancelled"


async def test_a_lost_worker_leaves_no_job_and_its_build_is_repeated_as_another_run(
    system: System, buildbot: Buildbot
) -> None:
    mark = system.new_mark()
    build, run_id = await started(buildbot, f"{sys.executable} -S {BAD_CHILD} ignores_term {mark}")
    buildbot.script("exit 0")

    await buildbot.kill_worker()

    assert await buildbot.result(build) == "retry"
    await until_gone(mark, deadline=0)
    (cancellation,) = await system.cancellations(run_id)
    assert (cancellation["outcome"], cancellation["reason"]) == (
        *("canceled", "the Buildbot worker was lost"),
    )
    await buildbot.start_worker()
    again = await buildbot.build(run_id // 1000, attempt=2)
    assert await buildbot.result(again) == "success"
    assert (await buildbot.run_id(again), (await system.run(run_id + 1))["status"]) == (
        *(run_id + 1, "pass"),
    )


async def test_where_the_service_does_not_take_the_cancel_buildbot_ends_the_job(
    system: System, buildbot: Buildbot
) -> None:
    build, run_id = await started(buildbot, CLEANS_UP)
    query = "UPDATE tokens SET scopes = $1 WHERE subject = 'buildbot'"
    await system.database.execute(query, [Scope.RUNS_REGISTER])
    try:
        await buildbot.stop(build, "not needed")

        assert await buildbot.result(build) == "cancelled"
    finally:
        await system.database.execute(query, list(SCOPES))
    assert "cleaned up" in buildbot.printed()
    assert await system.cancellations(run_id) == []
    assert f"post /runs/{run_id}/cancel: 403" in buildbot.log()
