"""Idempotency-Key and X-Command-Id: a retry has the same command and the same answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from tests.support.http.api import Answer, Api
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.proxy import TcpProxy
from tools.support.rows import CANCELING, ERROR, PASS, RUNNING, Row, insert_run
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

run_ids = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """No worker: what the gateway publishes stays where a test can look at it."""
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(system: System) -> Api:
    return Api(await system.gateway(), system.http, await system.token())


async def _post(api: Api, path: str, *keys: object, **options: Any) -> Answer:
    headers = [("Authorization", f"Bearer {api.token}")]
    headers += [("Idempotency-Key", str(key)) for key in keys]
    return await api.ask("POST", f"/api/v1/{path}", headers=headers, **options)


async def _published(system: System) -> list[Any]:
    """The commands in the queue; they are taken out."""
    queue = await system.channel.get_queue(system.topology.rest, ensure=False)
    commands = []
    while message := await queue.get(fail=False, no_ack=True):
        commands.append(json.loads(message.body))
    return commands


async def _record(system: System, command: Any, outcome: str | None = None) -> None:
    """What a worker does with `command`."""
    await system.database.execute(
        "INSERT INTO cancellations (command_id, run_id, via, force, requested_at, outcome,"
        " finished_at, evidence) SELECT ($1::jsonb ->> 'command_id')::uuid,"
        " ($1::jsonb ->> 'run_id')::bigint, 'rest', ($1::jsonb ->> 'force')::bool,"
        " ($1::jsonb ->> 'requested_at')::timestamptz, $2,"
        ' CASE WHEN $2::text IS NOT NULL THEN now() END, \'{"proof": "never_started"}\'',
        json.dumps(command),
        outcome,
    )


async def test_without_a_key_each_request_has_a_command_of_its_own(
    system: System, api: Api
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    answers = [await api.cancel(run_id) for _ in range(2)]

    ids = [it.headers["X-Command-Id"] for it in answers]
    assert ids == [it["command_id"] for it in await _published(system)]
    assert len(set(ids)) == 2


@pytest.mark.parametrize("path", ["cancel", "force-cancel"])
async def test_the_key_is_the_command_id(system: System, api: Api, path: str) -> None:
    run_id, key = next(run_ids), uuid4()
    await system.add_run(run_id)

    answer = await _post(api, f"runs/{run_id}/{path}", str(key).upper())

    (command,) = await _published(system)
    assert command["command_id"] == answer.headers["X-Command-Id"] == str(key)
    assert command["force"] is (path == "force-cancel")


@pytest.mark.parametrize(
    "keys",
    [
        [""],
        ["x"],
        [uuid4(), uuid4()],
        ["{6f1d3c52-8a0e-4d7b-9b1a-2f4f0f1f7c11}"],
        ["urn:uuid:6f1d3c52-8a0e-4d7b-9b1a-2f4f0f1f7c11"],
        ["6f1d3c528a0e4d7b9b1a2f4f0f1f7c11"],
        ["6f1d3c52-8a0e-4d7b-9b1a-2f4f0f1f7c11, 6f1d3c52-8a0e-4d7b-9b1a-2f4f0f1f7c11"],
    ],
)
async def test_what_is_no_single_uuid_is_refused_and_nothing_is_published(
    system: System, api: Api, keys: list[object]
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    for path in (f"runs/{run_id}/cancel", f"runs/{run_id}/force-cancel", "cancellations"):
        answer = await _post(api, path, *keys)

        assert answer.error == (400, "validation_error")
        assert answer.body["details"]["fields"] == {
            "Idempotency-Key": "must be given once, as a UUID"
        }
    assert await _published(system) == []


async def test_a_repeat_has_the_first_answer_though_the_run_is_canceled_by_now(
    system: System, api: Api
) -> None:
    run_id, key = next(run_ids), uuid4()
    await system.add_run(run_id)
    first = await _post(api, f"runs/{run_id}/cancel", key)
    await _record(system, (await _published(system))[0], "canceled")
    await system.database.execute(
        "UPDATE runs SET status = 'canceled', finished_at = now(), proof = 'never_started'"
        " WHERE run_id = $1",
        run_id,
    )

    again = await _post(api, f"runs/{run_id}/cancel", key)

    assert (again.status, again.body) == (202, first.body)
    assert again.body["status"] == "accepted"
    assert again.headers["X-Command-Id"] == str(key)
    assert await _published(system) == []


@pytest.mark.parametrize(
    ("row", "outcome", "status"),
    [
        (PASS, "no_op", "no_op"),
        (ERROR, "no_op", "no_op"),
        ({**ERROR, "loss": {"cause": "launcher_died"}}, "leftovers_stopped", "accepted"),
        ({**PASS, "left_behind": {"number": 1}}, "leftovers_stopped", "accepted"),
    ],
    ids=["pass", "error", "lost", "left behind"],
)
async def test_a_repeat_on_a_run_that_was_over_is_answered_as_before(
    system: System, api: Api, row: Row, outcome: str, status: str
) -> None:
    run_id, key = next(run_ids), uuid4()
    await insert_run(system.database, run_id, row)
    first = await _post(api, f"runs/{run_id}/cancel", key)
    await _record(system, (await _published(system))[0], outcome)

    again = await _post(api, f"runs/{run_id}/cancel", key)

    assert again.body == first.body
    assert again.body["status"] == status
    assert await _published(system) == []


async def test_a_repeat_during_a_stop_says_again_that_it_was_in_progress(
    system: System, api: Api
) -> None:
    run_id, key = next(run_ids), uuid4()
    await insert_run(system.database, run_id, CANCELING)
    first = await _post(api, f"runs/{run_id}/cancel", key)
    await _record(system, (await _published(system))[0])

    again = await _post(api, f"runs/{run_id}/cancel", key)

    assert again.body == first.body
    assert again.body["message"] == f"Cancellation of run {run_id} is already in progress."
    assert await _published(system) == []


async def test_a_repeat_with_another_reason_by_another_caller_changes_nothing(
    system: System, api: Api
) -> None:
    run_id, key = next(run_ids), uuid4()
    await system.add_run(run_id)
    first = await _post(api, f"runs/{run_id}/cancel", key, json={"reason": "mine"})
    await _record(system, (await _published(system))[0])
    bob = Api(api.url, api.http, await system.token(subject="bob"))

    again = await _post(bob, f"runs/{run_id}/cancel", key, json={"reason": "other"})

    assert (again.status, again.body) == (202, first.body)
    assert again.headers["X-Command-Id"] == str(key)
    assert await _published(system) == []


async def test_a_repeat_keeps_its_answer_when_the_run_ended_by_itself_meanwhile(
    system: System, api: Api
) -> None:
    run_id, key = next(run_ids), uuid4()
    await insert_run(system.database, run_id, RUNNING)
    first = await _post(api, f"runs/{run_id}/cancel", key)
    await system.database.execute(
        "UPDATE runs SET status = 'pass', exit_code = 0, finished_at = now() WHERE run_id = $1",
        run_id,
    )
    await _record(system, (await _published(system))[0], "no_op")

    again = await _post(api, f"runs/{run_id}/cancel", key)

    assert again.body == first.body
    assert again.body["status"] == "accepted"


async def test_the_key_of_another_run_or_another_kind_is_a_conflict(
    system: System, api: Api
) -> None:
    run_id, other, key = next(run_ids), next(run_ids), uuid4()
    await system.add_run(run_id)
    await system.add_run(other)
    await _post(api, f"runs/{run_id}/cancel", key)
    await _record(system, (await _published(system))[0])

    for path in (f"runs/{other}/cancel", f"runs/{run_id}/force-cancel"):
        answer = await _post(api, path, key)

        assert answer.error == (409, "conflict")
        assert answer.body["details"] == {"resource": "cancellation", "id": str(key)}
        assert "X-Command-Id" not in answer.headers
    assert await _published(system) == []


async def test_a_first_attempt_that_ended_in_503_is_repeated_with_the_same_id(
    system: System, api: Api
) -> None:
    run_id, key = next(run_ids), uuid4()
    await system.add_run(run_id)
    async with TcpProxy(system.amqp_url) as amqp:
        program = await system.program(
            "gateway", "serve", "--port", "0", AMQP_URL=amqp.proxied, CANCEL_CONFIRM_TIMEOUT="0.3"
        )
        url = (await program.event("gateway_ready"))["url"]
        amqp.stall_answers()
        failed = await _post(Api(url, api.http, api.token), f"runs/{run_id}/cancel", key)
    assert failed.error == (503, "unavailable")

    assert (await _post(api, f"runs/{run_id}/cancel", key)).status == 202

    ids = {it["command_id"] for it in await _published(system)}
    assert ids == {str(key)}


async def test_two_identical_requests_at_once_are_carried_out_once(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as whole:
        await whole.worker()
        api = Api(await whole.gateway(), whole.http, await whole.token())
        await whole.add_run(1)
        key = uuid4()

        both = await asyncio.gather(*(_post(api, "runs/1/cancel", key) for _ in range(2)))

        assert [it.status for it in both] == [202, 202]
        await whole.status_becomes(1, "canceled")
        rows = await whole.database.fetch("SELECT command_id, outcome FROM cancellations")
        assert [tuple(row) for row in rows] == [(UUID(str(key)), "canceled")]
