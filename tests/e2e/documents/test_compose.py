"""`docker compose up --build --wait`, and one cancel through what that brings up."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final
from uuid import uuid4

import aio_pika
import aiohttp
import pytest
import pytest_asyncio
from aiormq.exceptions import AMQPConnectionError

from shared.amqp.keys import CANCEL_KEY
from shared.amqp.topology import Topology
from shared.commands import CANCEL_TYPE
from tests.support.docker.in_compose import (
    DEADLINE,
    Json,
    api_of,
    ended,
    line,
    run_ids,
    start,
    terminal,
    up,
)
from tools.support.compose import ComposeFailed, Stack, has_engine, left_of, new_passwords
from tools.support.waiting import eventually

pytestmark = [
    pytest.mark.skipif(not has_engine(), reason="no Docker engine with compose and buildx here"),
    pytest.mark.asyncio(loop_scope="module"),
    # The images are built first.
    pytest.mark.timeout(600),
]

RUNNER_UID: Final = "10002"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[Stack]:
    async with up() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(stack: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    async with api_of(stack) as session:
        yield session


async def _run(api: aiohttp.ClientSession, run_id: int) -> Json:
    async with api.get(f"runs/{run_id}") as response:
        answer: Json = await response.json()
    return answer


async def _becomes(api: aiohttp.ClientSession, run_id: int, status: str) -> None:
    await eventually(
        lambda: _run(api, run_id), lambda run: run["status"] == status, deadline=DEADLINE
    )


async def test_a_run_in_the_workers_container_is_canceled_as_a_tree(
    stack: Stack, api: aiohttp.ClientSession
) -> None:
    # A mark that the host can see; one of the three leaves its session and ignores SIGTERM.
    mark = f"98765{uuid4().int % 10**6:06}"
    tree = f"setsid sh -c 'trap : TERM; sleep {mark}; sleep {mark}' & sleep {mark} & echo up; wait"
    run_id, launched = await start(stack, "sh", "-c", tree)
    assert await line(launched) == "up"
    assert mark in await stack.run("top", "worker")

    async with api.post(f"runs/{run_id}/cancel", json={"reason": "superseded"}) as response:
        assert response.status == 202
    run = await terminal(api, run_id)

    assert run["status"] == "canceled"
    assert await ended(launched) == (143, "")
    assert mark not in await stack.run("top", "worker")
    shown = json.loads(await stack.ops("cancel-worker", "runs", "show", str(run_id), "--json"))
    (cancellation,) = shown["cancellations"]
    assert (cancellation["via"], cancellation["publisher"]) == ("rest", "gateway")
    assert cancellation["evidence"]["proof"] == "cgroup_empty"


async def test_a_job_is_another_user_without_credentials(stack: Stack) -> None:
    look = "id -u; env; cat /run/secrets/* /proc/1/environ; kill -0 1; grep Cap /proc/self/status"
    _, launched = await start(stack, "sh", "-c", f"{look}; true")
    code, output = await ended(launched)

    assert code == 0
    assert output.splitlines()[0] == RUNNER_UID
    assert "WORKER_PASSWORD" not in output
    assert not any(password in output for password in stack.passwords.values())
    capabilities = [line.split() for line in output.splitlines() if line.startswith("Cap")]
    assert len(capabilities) == 5
    assert {int(value, 16) for _, value in capabilities} == {0}


async def test_a_job_cannot_write_its_cgroup(stack: Stack) -> None:
    look = (
        "group=$(sed -n 's/^0:://p' /proc/self/cgroup); "
        "for mount in /run/cgroup2 /sys/fs/cgroup; do "
        'test ! -e "$mount$group/cgroup.procs" || echo "$mount"; '
        'echo $$ >"$mount/cgroup.procs" && echo left; '
        'echo 0 >"$mount$group/cgroup.freeze" && echo thawed; '
        "done"
    )
    _, launched = await start(stack, "sh", "-c", f"{look}; true")
    code, output = await ended(launched)

    assert code == 0
    assert len(output.splitlines()) == 1, output
    assert output.startswith("/")


async def test_the_worker_gave_up_what_it_needs_no_more(stack: Stack) -> None:
    status = await stack.run(
        *("exec", "-T", "worker", "sh", "-c"),
        # Process 1 reaps; its child is the worker.
        "cat /proc/$(cat /proc/1/task/1/children | cut -d' ' -f1)/status",
    )
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)

    kill, sys_ptrace, sys_nice = 5, 19, 23
    assert fields["Name"].startswith("cancel-worker")
    assert int(fields["CapEff"], 16) == 1 << kill | 1 << sys_ptrace | 1 << sys_nice
    assert fields["NoNewPrivs"] == "1"


async def test_a_publisher_reaches_the_broker_and_guest_does_not(
    stack: Stack, api: aiohttp.ClientSession
) -> None:
    run_id = next(run_ids)
    await stack.ops("cancel-worker", "runs", "add", str(run_id))
    broker = await stack.address("rabbitmq", 5672)
    command = {"command_id": str(uuid4()), "run_id": run_id}
    message = aio_pika.Message(
        json.dumps(command).encode(), message_id=str(command["command_id"]), type=CANCEL_TYPE,
        user_id="publisher",
    )  # fmt: skip
    url = f"amqp://publisher:{stack.passwords['PUBLISHER_PASSWORD']}@{broker}/"
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange(Topology().commands, ensure=False)
        await exchange.publish(message, CANCEL_KEY, mandatory=True)

    assert (await terminal(api, run_id))["status"] == "canceled"
    with pytest.raises(AMQPConnectionError):
        await aio_pika.connect(f"amqp://guest:guest@{broker}/")


async def test_the_gateway_streams_events(stack: Stack, api: aiohttp.ClientSession) -> None:
    async with api.get("events") as stream:
        assert stream.status == 200
        run_id = next(run_ids)
        await stack.ops("cancel-worker", "runs", "add", str(run_id))
        async with asyncio.timeout(DEADLINE):
            async for sent in stream.content:
                if sent.startswith(b"data:"):
                    break
    event = json.loads(sent.removeprefix(b"data:"))
    assert (event["type"], event["subject"]) == ("ci.run.registered.v1", str(run_id))


async def test_an_operator_sees_and_replays_dead_letters(stack: Stack) -> None:
    listed = await stack.ops("cancel-worker", "dead-letters", "list", "--json")

    assert json.loads(listed) == []
    assert "runner-1" in await stack.ops("cancel-worker", "hosts", "list")


async def test_a_second_worker_of_one_name_does_not_displace_the_first(
    stack: Stack, api: aiohttp.ClientSession
) -> None:
    try:
        await stack.run("up", "--detach", "--no-recreate", "--scale", "worker=2", "worker")
        await eventually(
            lambda: stack.run("logs", "worker"),
            lambda log: "in another container; give each worker" in log,
            deadline=DEADLINE,
        )
        run_id, launched = await start(stack, "sleep", "1000")
        await _becomes(api, run_id, "running")
        async with api.post(f"runs/{run_id}/cancel") as response:
            assert response.status == 202

        assert (await terminal(api, run_id))["status"] == "canceled"
        assert (await ended(launched))[0] == 143
    finally:
        await stack.run("up", "--detach", "--no-recreate", "--scale", "worker=1", "worker")


async def test_a_workers_container_made_anew_loses_its_runs_and_cancels_none(
    stack: Stack, api: aiohttp.ClientSession
) -> None:
    running, _ = await start(stack, "sleep", "1000")
    deaf = "trap '' TERM; echo up; while :; do sleep 1; done"
    stopping, launched = await start(stack, "sh", "-c", deaf)
    assert await line(launched) == "up"
    async with api.post(f"runs/{stopping}/cancel") as response:
        assert response.status == 202
    await _becomes(api, stopping, "canceling")

    # As after a change: its worker has no time to see the stop through.
    await stack.run("kill", "worker")
    await stack.run("up", "--detach", "--wait", "--no-deps", "--force-recreate", "worker")

    assert (await _run(api, running))["status"] == "error"
    run = await _run(api, stopping)
    assert (run["status"], run["cancellation"]["outcome"]) == ("error", "not_proved")
    assert run["cancellation"]["evidence"]["proof"] is None
    shown = await stack.ops("cancel-worker", "runs", "show", str(running))
    assert "its worker's container was replaced" in shown


async def test_all_made_anew_keeps_runs_and_takes_over_new_passwords(stack: Stack) -> None:
    run_id = str(next(run_ids))
    await stack.ops("cancel-worker", "runs", "add", run_id)
    owner = {"POSTGRES_PASSWORD": stack.passwords["POSTGRES_PASSWORD"]}
    changed = Stack(stack.name, {**new_passwords(), **owner}, stack.settings)

    await changed.up("--force-recreate")

    token = await changed.ops("cancel-gateway", "tokens", "create", "--subject", "bob")
    authorization = {"Authorization": f"Bearer {token.strip()}"}
    url = f"http://{await changed.address('gateway', 8080)}/api/v1/runs/{run_id}"
    async with aiohttp.ClientSession(headers=authorization) as session:
        async with session.post(f"{url}/cancel") as response:
            assert response.status == 202
        async with session.get(f"{url}?wait=30") as response:
            assert (await response.json())["status"] == "canceled"
    with pytest.raises(ComposeFailed, match="password authentication failed"):
        await stack.ops("cancel-worker", "runs", "list")


async def test_down_leaves_nothing(stack: Stack) -> None:
    assert await asyncio.to_thread(left_of, stack.name) != []

    await stack.down()

    assert await asyncio.to_thread(left_of, stack.name) == []
