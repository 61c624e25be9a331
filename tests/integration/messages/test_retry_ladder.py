"""Commands that do not find a live run: tried again for a while, recorded, or buried."""

import json
from asyncio import Future, timeout
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from uuid import uuid4

import pytest
import pytest_asyncio
from aio_pika.abc import AbstractIncomingMessage
from yarl import URL

from shared.amqp.topology import RETRY_DELAYS
from shared.commands import CANCEL_TYPE
from tests.support.http.api import Api
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.program import Program
from tools.support.rows import ERROR, FAIL, NEVER_STARTED, PASS, Row, insert_run
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

run_ids = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("retry")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(system: System) -> Program:
    return await system.worker()


def _retries(worker: Program, **fields: object) -> int:
    wanted = {"event": "command_retried", **fields}.items()
    return sum(wanted <= event.items() for event in worker.events)


@asynccontextmanager
async def _taking(system: System, queue: str) -> AsyncIterator[Future[AbstractIncomingMessage]]:
    """Have the next message in `queue`, however shortly it stays there."""
    taken: Future[AbstractIncomingMessage] = Future()

    async def take(message: AbstractIncomingMessage) -> None:
        if not taken.done():
            taken.set_result(message)

    declared = await system.channel.get_queue(queue, ensure=False)
    tag = await declared.consume(take, no_ack=True)
    try:
        yield taken
    finally:
        await declared.cancel(tag)


async def test_a_run_whose_row_comes_late_is_canceled(system: System, worker: Program) -> None:
    run_id, earlier = next(run_ids), _retries(worker)
    command_id = await system.publish(run_id, reason="early")
    await worker.event("command_retried", count=earlier + 1)

    await system.add_run(run_id)

    row = await system.outcome_of(command_id)
    assert (row["outcome"], row["reason"]) == ("canceled", "early")
    assert _retries(worker) == earlier + 1


async def test_who_published_it_is_known_after_a_retry_too(system: System, worker: Program) -> None:
    run_id, earlier = next(run_ids), _retries(worker)
    user = URL(system.amqp_url).user
    command_id = await system.publish(run_id, user_id=user)
    await worker.event("command_retried", count=earlier + 1)

    await system.add_run(run_id)

    row = await system.outcome_of(command_id)
    assert (row["via"], row["publisher"]) == ("direct", user)


@pytest.mark.parametrize("attempt", [1, 2, 3])
async def test_each_attempt_waits_longer(system: System, worker: Program, attempt: int) -> None:
    command_id = str(uuid4())
    body = json.dumps({"command_id": command_id, "run_id": next(run_ids)}).encode()

    async with _taking(system, system.topology.retry(RETRY_DELAYS[attempt - 1])) as taken:
        await system.publish_raw(
            body,
            type=CANCEL_TYPE,
            message_id=command_id,
            user_id=URL(system.amqp_url).user,
            headers={"x-attempt": attempt},
        )
        async with timeout(10):
            message = await taken

    assert message.headers["x-attempt"] == attempt + 1
    assert message.body == body


async def test_after_the_last_attempt_it_is_buried(system: System, worker: Program) -> None:
    run_id, command_id = next(run_ids), str(uuid4())
    body = json.dumps({"command_id": command_id, "run_id": run_id}).encode()

    await system.publish_raw(
        body,
        type=CANCEL_TYPE,
        message_id=command_id,
        user_id=URL(system.amqp_url).user,
        headers={"x-attempt": 4},
    )

    message = await system.dead_letter()
    assert message.body == body
    assert message.headers["x-reason"] == "unknown_run"
    assert message.headers["x-attempt"] == 4
    assert message.headers["x-error"] == f"run {run_id} is unknown"
    assert message.message_id == command_id


async def test_a_publisher_cannot_use_up_the_attempts(system: System, worker: Program) -> None:
    """Headers are no notes of ours where the broker did not check that we wrote them."""
    command_id = str(uuid4())
    body = json.dumps({"command_id": command_id, "run_id": next(run_ids)}).encode()

    async with _taking(system, system.topology.retry(1)) as taken:
        await system.publish_raw(
            body,
            type=CANCEL_TYPE,
            message_id=command_id,
            headers={"x-attempt": 4, "x-via": "rest", "x-publisher": "root", "x-replays": 9},
        )
        async with timeout(10):
            message = await taken

    assert message.headers["x-attempt"] == 2
    assert message.headers["x-via"] == "direct"
    assert not {"x-publisher", "x-replays"} & {*message.headers}


async def test_a_retried_command_arrives_unchanged(system: System, worker: Program) -> None:
    run_id, command_id = next(run_ids), str(uuid4())
    body = json.dumps({"run_id": run_id, "command_id": command_id, "new": [1]}).encode()
    async with _taking(system, system.topology.retry(1)) as taken:
        await system.publish_raw(
            body,
            type=CANCEL_TYPE,
            message_id=command_id,
            correlation_id="c-1",
            headers={"mine": "1"},
        )
        async with timeout(10):
            retried = await taken

    assert retried.body == body
    assert (retried.message_id, retried.correlation_id) == (command_id, "c-1")
    assert retried.headers["mine"] == "1"
    assert retried.headers["x-attempt"] == 2
    assert retried.headers["x-original-exchange"] == system.topology.commands
    assert retried.headers["x-original-routing-key"] == "run.cancel"


@pytest.mark.parametrize(
    "row", [PASS, FAIL, ERROR, NEVER_STARTED], ids=lambda row: str(row["status"])
)
async def test_a_run_that_is_over_stays_as_it_is(system: System, worker: Program, row: Row) -> None:
    run_id = next(run_ids)
    await insert_run(system.database, run_id, row)
    before = await system.run(run_id)

    command_id = await system.publish(run_id)

    recorded = await system.outcome_of(command_id)
    assert recorded["outcome"] == "no_op"
    assert recorded["evidence"] == {"run_status": row["status"]}
    assert await system.run(run_id) == before


async def test_a_duplicate_changes_nothing(system: System, worker: Program) -> None:
    run_id, command_id = next(run_ids), str(uuid4())
    await system.add_run(run_id)
    await system.publish(run_id, command_id=command_id, reason="first")
    first = await system.outcome_of(command_id)
    before = await system.run(run_id)

    for _ in range(3):
        await system.publish(run_id, command_id=command_id, reason="again", force=True)
    await worker.event("command_settled", command_id=command_id, count=4)

    assert len(await system.cancellations(run_id)) == 1
    assert await system.outcome_of(command_id) == first
    assert await system.run(run_id) == before


async def test_a_direct_publish_is_recorded_with_its_publisher(
    system: System, worker: Program
) -> None:
    run_id, command_id = next(run_ids), str(uuid4())
    user = URL(system.amqp_url).user
    await system.add_run(run_id)
    command = {
        "command_id": command_id,
        "run_id": run_id,
        "requested_by": "scheduler",
        "requested_at": "2026-01-02T03:04:05+00:00",
        "grace_seconds": 2.5,
    }

    await system.publish_raw(
        json.dumps(command).encode(), type=CANCEL_TYPE, message_id=command_id, user_id=user
    )

    row = await system.outcome_of(command_id)
    assert (row["via"], row["publisher"], row["requested_by"]) == ("direct", user, "scheduler")
    assert row["requested_at"].isoformat() == command["requested_at"]
    assert row["grace_seconds"] == 2.5


async def test_a_direct_publisher_that_does_not_say_who_it_is_stays_unknown(
    system: System, worker: Program
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    row = await system.outcome_of(await system.publish(run_id))

    assert (row["via"], row["publisher"], row["requested_by"]) == ("direct", None, None)


async def test_a_request_over_http_is_recorded_as_such(system: System, worker: Program) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)
    api = Api(await system.gateway(), system.http, await system.token(subject="bob"))

    assert (await api.cancel(run_id, {"reason": "superseded"})).status == 202

    await system.status_becomes(run_id, "canceled")
    (row,) = await system.cancellations(run_id)
    assert (row["via"], row["requested_by"], row["reason"]) == ("rest", "bob", "superseded")
    assert row["publisher"] == URL(system.amqp_url).user
    assert row["requested_at"] <= row["received_at"]
