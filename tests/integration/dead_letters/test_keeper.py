"""Dead letters move into Postgres as they are, each once, whatever program put them there."""

import json
from collections.abc import AsyncIterator
from itertools import count
from time import monotonic
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
import pytest_asyncio
from yarl import URL

from shared.commands import CANCEL_TYPE, MAX_BODY
from shared.postgres import sql
from tests.support.launcher.launching import blocked_in_database
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.records import Json
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

run_ids = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("keeper")) as running:
        await running.worker(keep_dead_letters="true")
        yield running


async def _kept(system: System, body: bytes) -> Json:
    """Wait for the letter with this body, which must be the only one."""
    end = monotonic() + 20
    while not (rows := await _with_body(system, body)):
        assert monotonic() < end, "not kept"
    (row,) = rows
    assert await system.depth(system.topology.dead) == 0
    return dict(row)


async def _with_body(system: System, body: bytes) -> list[Any]:
    return await system.database.fetch("SELECT * FROM dead_letters WHERE body = $1", body)


async def test_a_malformed_command_is_kept_with_all_that_is_known(system: System) -> None:
    user = URL(system.amqp_url).user
    command_id = str(uuid4())
    body = json.dumps({"command_id": command_id, "run_id": 7, "force": "yes"}).encode()

    await system.publish_raw(
        body,
        type=CANCEL_TYPE,
        message_id=command_id,
        correlation_id="c-1",
        app_id="scheduler",
        content_type="application/json",
        user_id=user,
        headers={"mine": "1", "deep": {"a": [1, 2.5, None]}},
    )

    letter = await _kept(system, body)
    assert (letter["reason"], letter["state"], letter["attempts"]) == ("malformed", "waiting", 1)
    assert letter["error"].startswith("force: ")
    assert (letter["exchange"], letter["routing_key"]) == (system.topology.commands, "run.cancel")
    assert (letter["via"], letter["publisher"]) == ("direct", user)
    assert (str(letter["command_id"]), letter["run_id"]) == (command_id, 7)
    assert (letter["message_id"], letter["type"]) == (command_id, CANCEL_TYPE)
    assert (letter["correlation_id"], letter["app_id"]) == ("c-1", "scheduler")
    assert json.loads(letter["headers"]) == {"mine": "1", "deep": {"a": [1, 2.5, None]}}
    assert letter["first_failed_at"] <= letter["last_failed_at"] <= letter["arrived_at"]


async def test_a_command_for_an_unknown_run_is_kept_after_its_last_attempt(
    system: System,
) -> None:
    run_id, command_id = next(run_ids), str(uuid4())
    body = json.dumps(
        {"command_id": command_id, "run_id": run_id, "requested_by": "merge-queue"}
    ).encode()

    await system.publish_raw(
        body,
        type=CANCEL_TYPE,
        message_id=command_id,
        user_id=URL(system.amqp_url).user,
        headers={"x-attempt": 4, "x-first-failure": "2026-01-02T03:04:05+00:00"},
    )

    letter = await _kept(system, body)
    assert (letter["reason"], letter["attempts"]) == ("unknown_run", 4)
    assert letter["requested_by"] == "merge-queue"
    assert letter["first_failed_at"].isoformat() == "2026-01-02T03:04:05+00:00"
    assert letter["last_failed_at"] > letter["first_failed_at"]


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"type": "a\x00b", "message_id": "\x00", "correlation_id": "c\x00"},
        {"headers": {"nul": "a\x00b", "bytes": bytearray(b"\xff\x00"), "t": True}},
        {"headers": {"x-death": "mine", "x-letter": "mine", "x-reason": "mine", "x-attempt": []}},
        {"headers": {"x-death": [{"reason": 1}]}},
        {"headers": {f"x-{n}": "a" * 40 for n in range(1000)}},
    ],
    ids=["plain", "nul", "odd", "ours", "death", "many"],
)
async def test_whatever_another_program_puts_there_is_kept(
    system: System, properties: dict[str, Any]
) -> None:
    body = b"\x00\xff not JSON " + uuid4().bytes
    exchange = await system.channel.get_exchange(system.topology.dead_exchange, ensure=False)

    await exchange.publish(aio_pika.Message(body, **properties), "by.hand")

    letter = await _kept(system, body)
    assert (letter["reason"], letter["attempts"]) == ("foreign", 1)
    assert (letter["command_id"], letter["run_id"]) == (None, None)


async def test_of_what_another_program_puts_there_no_more_than_a_head_is_kept(
    system: System,
) -> None:
    body = b"\xff" + uuid4().bytes * (MAX_BODY // 4)
    exchange = await system.channel.get_exchange(system.topology.dead_exchange, ensure=False)

    await exchange.publish(aio_pika.Message(body, message_id="m", headers={"mine": 1}), "by.hand")

    letter = await _kept(system, body[:MAX_BODY])
    assert (letter["reason"], letter["full_size"]) == ("foreign", len(body))
    assert (letter["message_id"], json.loads(letter["headers"])) == ("m", {"mine": 1})


@pytest.mark.parametrize("size", [-1, 3, True, "many", 2**63 - 1], ids=str)
async def test_a_size_that_a_trusted_user_notes_in_error_costs_no_letter(
    system: System, size: object
) -> None:
    body = uuid4().bytes
    user = URL(system.amqp_url).user
    headers: Any = {"x-body-size": size}
    exchange = await system.channel.get_exchange(system.topology.dead_exchange, ensure=False)

    await exchange.publish(aio_pika.Message(body, user_id=user, headers=headers), "by.hand")

    letter = await _kept(system, body)
    assert letter["full_size"] == (size if size == 2**63 - 1 else None)


@pytest.mark.parametrize("values", [999, 1000, 1001, 1195, 1200, 1201])
async def test_headers_of_theirs_leave_room_to_read_ours(system: System, values: int) -> None:
    body = uuid4().bytes
    headers: Any = {f"n-{number}": number for number in range(values)}

    await system.publish_raw(body, type=CANCEL_TYPE, headers=headers)

    letter = await _kept(system, body)
    assert letter["reason"] == "malformed", "what the worker had noted is lost"
    assert (len(json.loads(letter["headers"])) == values) == (values <= 1000)


async def test_two_letters_that_look_the_same_are_two(system: System) -> None:
    body = uuid4().bytes

    for _ in range(2):
        await system.publish_raw(body, type=CANCEL_TYPE)

    end = monotonic() + 20
    while len(await _with_body(system, body)) < 2:
        assert monotonic() < end


async def test_keepers_take_turns_on_a_row_that_only_they_may_lock(system: System) -> None:
    body = uuid4().bytes
    async with system.database.acquire() as other, other.transaction():
        await other.execute(sql.dead_letters.TAKE_TURN)
        await system.publish_raw(body, type=CANCEL_TYPE)
        await blocked_in_database(system)
        assert await _with_body(system, body) == []

    await _kept(system, body)
