"""A Buildbot master and worker, set up as docs/platforms.md says: its builds are our runs."""

import asyncio
import json
import os
import sys
from time import monotonic

import pytest

from gateway.auth.access import Scope
from tests.support.http.api import Api
from tests.support.platforms.buildbot import BUILDBOT_URL, STOP_TIMEOUT, Buildbot
from tests.support.platforms.builds import (
    BLOCKS,
    CLEANS_UP,
    ENDS_WHEN_TOLD_TWICE,
    SCOPES,
    is_registered,
    queued,
    service_away,
    set_grace,
    started,
)
from tools.support.processes import BAD_CHILD, until_gone
from tools.support.proxy import TcpProxy
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


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

    request = await buildbot.force(project="web", branch="main")
    build = await buildbot.build(request)

    assert await buildbot.result(build) == result
    run_id = await buildbot.run_id(build)
    run = await system.run(run_id)
    assert (run_id, run["status"]) == (request * 1000 + 1, status)
    assert json.loads(run["labels"]) == {
        **{"builder": "build", "build_request": str(request)},
        **{"project": "web", "branch": "main"},
    }
    assert run["url"] == f"{BUILDBOT_URL}#/buildrequests/{request}"
    assert await system.cancellations(run_id) == []


async def test_a_cancel_over_rest_shows_the_build_as_canceled(
    system: System, buildbot: Buildbot, api: Api
) -> None:
    mark = system.new_mark()
    build, run_id = await started(buildbot, f"{sys.executable} -S {BAD_CHILD} daemon {mark}")
    await set_grace(system, run_id, 0.3)

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
    request, run_id = await queued(system, buildbot)

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
    request, run_id = await queued(system, buildbot)

    await buildbot.cancel_request(request)

    assert await buildbot.request_result(request) == "cancelled"
    await system.status_becomes(run_id, "canceled")
    (cancellation,) = await system.cancellations(run_id)
    assert cancellation["evidence"]["proof"] == "never_started"
    await buildbot.stop(running, "not needed")
    assert await buildbot.result(running) == "cancelled"


async def test_a_build_request_that_is_merged_into_another_is_canceled_on_record(
    system: System, buildbot: Buildbot
) -> None:
    running, _ = await started(buildbot, BLOCKS)
    merged, run_id = await queued(system, buildbot)
    buildbot.script("exit 0")

    request, _ = await queued(system, buildbot)

    assert await buildbot.request_result(merged) == "skipped"
    await system.status_becomes(run_id, "canceled")
    await buildbot.stop(running, "not needed")
    assert await buildbot.result(await buildbot.build(request)) == "success"


async def test_a_run_that_is_canceled_during_an_earlier_step_does_not_start(
    system: System, buildbot: Buildbot, api: Api
) -> None:
    gate = system.directory / "gate"
    os.mkfifo(gate)
    buildbot.script(f"echo ready; read -r _ <'{gate}'", step="checkout")
    request = await buildbot.force()
    await buildbot.prints("ready")
    buildbot.script("echo started")

    await api.cancel(run_id := request * 1000 + 1)
    await system.status_becomes(run_id, "canceled")
    await asyncio.to_thread(gate.write_text, "\n")

    assert await buildbot.result(await buildbot.build(request)) == "cancelled"
    assert buildbot.printed() == []


async def test_a_build_that_ends_before_its_run_starts_leaves_no_queued_run(
    system: System, buildbot: Buildbot
) -> None:
    buildbot.script("exit 3", step="checkout")

    request = await buildbot.force()

    assert await buildbot.result(await buildbot.build(request)) == "failure"
    await system.status_becomes(run_id := request * 1000 + 1, "canceled")
    (cancellation,) = await system.cancellations(run_id)
    assert cancellation["reason"] == "Buildbot: the build is over"


async def test_a_run_that_cannot_start_shows_the_build_as_an_exception(
    system: System, buildbot: Buildbot
) -> None:
    running, _ = await started(buildbot, BLOCKS)
    request, run_id = await queued(system, buildbot)
    assert await (await system.launch(run_id, "true")).exit_code() == 0

    await buildbot.stop(running, "not needed")

    build = await buildbot.build(request)
    assert await buildbot.result(build) == "exception"
    assert f"run {run_id} has already finished" in await buildbot.output(build)


async def test_a_lost_worker_leaves_no_job_and_its_build_is_repeated_as_another_run(
    system: System, buildbot: Buildbot
) -> None:
    mark = system.new_mark()
    build, run_id = await started(buildbot, f"{sys.executable} -S {BAD_CHILD} ignores_term {mark}")
    await set_grace(system, run_id, 0.3)
    buildbot.script("exit 0")

    await buildbot.kill_worker()

    assert await buildbot.result(build) == "retry"
    await until_gone(mark, deadline=0)
    (cancellation,) = await system.cancellations(run_id)
    assert (cancellation["outcome"], cancellation["reason"]) == (
        *("canceled", "the Buildbot worker was lost"),
    )
    await eventually(lambda: is_registered(system, run_id + 1))
    await buildbot.start_worker()
    again = await buildbot.build(run_id // 1000, attempt=2)
    assert await buildbot.result(again) == "success"
    assert (await buildbot.run_id(again), (await system.run(run_id + 1))["status"]) == (
        *(run_id + 1, "pass"),
    )


async def test_a_build_that_is_queued_while_the_service_is_away_is_registered_when_it_starts(
    system: System, buildbot: Buildbot, network: TcpProxy
) -> None:
    running, _ = await started(buildbot, BLOCKS)
    async with service_away(network):
        request = await buildbot.force()
        run_id = request * 1000 + 1
        await eventually(buildbot.log, lambda log: f"put /runs/{run_id}: " in log)
    assert not await is_registered(system, run_id)
    buildbot.script("exit 0")

    await buildbot.stop(running, "not needed")

    assert await buildbot.result(await buildbot.build(request)) == "success"
    assert (await system.run(run_id))["status"] == "pass"


async def test_where_the_service_is_away_buildbot_ends_the_job(
    system: System, buildbot: Buildbot, network: TcpProxy
) -> None:
    build, run_id = await started(buildbot, CLEANS_UP)

    async with service_away(network):
        await buildbot.stop(build, "not needed")

        assert await buildbot.result(build) == "cancelled"
    assert "cleaned up" in buildbot.printed()
    assert await system.cancellations(run_id) == []


async def test_a_stop_that_takes_too_long_is_ended_by_buildbot(
    system: System, buildbot: Buildbot
) -> None:
    build, run_id = await started(buildbot, ENDS_WHEN_TOLD_TWICE)
    await set_grace(system, run_id, 600)
    begun = monotonic()

    await buildbot.stop(build, "not needed")

    assert await buildbot.result(build) == "cancelled"
    assert monotonic() - begun >= STOP_TIMEOUT
    assert buildbot.printed() == ["ready", "told", "told"]
    assert (await system.run(run_id))["status"] == "canceled"


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
