"""What is no command goes to the dead letters as it came; the worker goes on."""

import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from aio_pika.abc import AbstractIncomingMessage

from shared.commands import BIGINT_MAX, CANCEL_TYPE, MAX_BODY
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.program import Program
from tools.support.system import System
from worker.messages.headers import BROKER_HEADERS

pytestmark = pytest.mark.asyncio(loop_scope="module")

run_ids = count(1)
# Constant: parallel workers must collect the same tests.
ID = "0b7c1d2e-7f7a-4d55-8f6b-0c9a4e1f2a31"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("bad")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(system: System) -> Program:
    return await system.worker()


async def _goes_on(system: System, worker: Program) -> None:
    """One worker process, the same as ever, carries out a good command."""
    run_id = next(run_ids)
    await system.add_run(run_id)
    command_id = await system.publish(run_id)
    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    assert worker.process.returncode is None
    assert [event["event"] for event in worker.events].count("worker_ready") == 1
    assert [event["event"] for event in worker.events].count("consuming") == 1


async def _buried(system: System, reason: str, body: bytes) -> AbstractIncomingMessage:
    message = await system.dead_letter()
    assert message.headers["x-reason"] == reason
    assert message.headers["x-error"]
    assert message.headers["x-original-exchange"] == system.topology.commands
    assert message.headers["x-original-routing-key"] == "run.cancel"
    assert message.body == body[:MAX_BODY]
    assert message.headers.get("x-body-size") == (len(body) if len(body) > MAX_BODY else None)
    assert await system.depth(system.topology.dead) == 0
    assert await system.depth(system.topology.cancel) == 0
    return message


def _command(**fields: Any) -> bytes:
    return json.dumps({"command_id": ID, "run_id": 1, **fields}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"\x00",
        b"\xff\xfe",
        b"not JSON",
        b"{",
        b"null",
        b"[]",
        b"{}",
        _command()[:-1],
        _command() + b"{}",
        b'{"run_id": 1}',
        json.dumps({"command_id": ID}).encode(),
        _command(command_id="7"),
        _command(run_id="1"),
        _command(run_id=0),
        _command(run_id=-1),
        _command(run_id=1.5),
        _command(run_id=True),
        _command(run_id=None),
        _command(run_id=BIGINT_MAX + 1),
        _command(run_id=10**400),
        _command(grace_seconds=-1),
        _command(grace_seconds=600.5),
        _command(grace_seconds=float("nan")),
        _command(force="yes"),
        b'{"command_id": "' + ID.encode() + b'", "run_id": 1, "reason": "\xff"}',
        _command()[:-1] + b', "run_id": 2}',
        _command()[:-1] + b', "run\\u005fid": 1}',
        _command(reason="\ud800")[:-1] + b', "force": true, "force": false}',
        b"[" * MAX_BODY,
        b'{"a":' * (MAX_BODY // 5),
        b'{"run_id":' + b"9" * 60_000 + b"}",
        b'{"command_id":"\\ud800","run_id":"\\udfff\\u0000"}',
        b'{"command_id":"\xed\xa0\x80","run_id":1}',
        b"[" * 1_000_000,
        b"x" * (MAX_BODY + 1),
        _command(reason="x" * MAX_BODY),
        # Commands, if their heads were read as such.
        _command() + b" " * MAX_BODY,
        _command() + b" " * MAX_BODY + b"{}",
    ],
    ids=lambda body: f"{len(body)}-{body[:60].decode(errors='replace')}",
)
async def test_a_malformed_body_is_buried_byte_for_byte_or_its_head_and_size(
    system: System, worker: Program, body: bytes
) -> None:
    await system.publish_raw(body, type=CANCEL_TYPE)

    message = await _buried(system, "malformed", body)

    assert message.type == CANCEL_TYPE
    await _goes_on(system, worker)


async def test_a_command_may_be_as_large_as_is_documented(system: System, worker: Program) -> None:
    run_id, command_id = next(run_ids), str(uuid4())
    await system.add_run(run_id)
    body = _command(command_id=command_id, run_id=run_id)

    await system.publish_raw(body + b" " * (MAX_BODY - len(body)), type=CANCEL_TYPE)

    assert (await system.outcome_of(command_id))["outcome"] == "canceled"


async def test_of_a_large_body_all_but_its_tail_is_kept_whatever_it_is_refused_for(
    system: System, worker: Program
) -> None:
    body = b"\x1b" * (3 * MAX_BODY)

    await system.publish_raw(
        body, type="t", message_id="m", correlation_id="c", app_id="a", headers={"mine": "1"}
    )

    message = await _buried(system, "unknown_type", body)
    assert (message.type, message.message_id, message.correlation_id) == ("t", "m", "c")
    assert (message.app_id, message.headers["mine"]) == ("a", "1")


async def test_a_head_that_is_put_back_to_work_is_no_command_either(
    system: System, worker: Program
) -> None:
    body = _command() + b" " * MAX_BODY
    await system.publish_raw(body, type=CANCEL_TYPE)
    letter = await _buried(system, "malformed", body)

    await system.publish_raw(
        letter.body,
        type=CANCEL_TYPE,
        headers=letter.headers,
        user_id=letter.user_id,
    )

    again = await _buried(system, "malformed", body)
    assert again.headers["x-error"] == (
        f"the body has {len(body)} bytes; a command has at most {MAX_BODY}"
    )


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (None, "unknown_type"),
        ("", "unknown_type"),
        ("CI.RUN.CANCEL.V1", "unknown_type"),
        ("a" * 255, "unknown_type"),
        ("ci.run.cancel", "unknown_type"),
        ("ci.run.cancel.v2", "unknown_version"),
    ],
)
async def test_an_unknown_type_is_buried_and_not_guessed_at(
    system: System, worker: Program, kind: str | None, reason: str
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)
    body = _command(run_id=run_id, command_id=str(uuid4()))

    await system.publish_raw(body, type=kind, correlation_id="c-1", app_id="some-app")

    message = await _buried(system, reason, body)
    assert (message.type or "") == (kind or "")
    assert (message.correlation_id, message.app_id) == ("c-1", "some-app")
    assert (await system.run(run_id))["status"] == "queued"
    await _goes_on(system, worker)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-attempt": "four"},
        {"x-attempt": -1},
        {"x-attempt": 2**62},
        {"x-attempt": [1]},
        {"x-attempt": None},
        {"x-death": [{"queue": "runs.cancel", "reason": "expired", "count": 10**6}]},
        {
            "x-death": "mine",
            "x-delivery-count": 99,
            "x-acquired-count": 9,
            "x-first-death-reason": 1,
        },
        {"x-original-exchange": {"a": 1}, "x-original-routing-key": 5, "x-first-failure": [1]},
        {"x-reason": "harmless", "x-error": "none"},
        {"deep": {"a": {"b": {"c": [1, 2.5, True, None, {"d": "e"}]}}}},
        # Beside these no header of ours fits into the one frame that a message's headers have.
        {"x-big": "a" * 130_900},
        {f"x-{n}": "a" * 40 for n in range(2500)},
        {f"x-{n}": n for n in range(1001)},
        {"x-many": [[] for _ in range(20_000)]},
    ],
    ids=lambda headers: str(headers)[:40],
)
async def test_hostile_headers_neither_stop_the_worker_nor_count_for_anything(
    system: System, worker: Program, headers: dict[str, Any]
) -> None:
    await system.publish_raw(b"bad", type=CANCEL_TYPE, headers=headers)

    message = await _buried(system, "malformed", b"bad")

    assert message.headers["x-attempt"] == 1
    assert isinstance(message.headers["x-first-failure"], str)
    assert not [name for name in message.headers if name.startswith(BROKER_HEADERS)]
    await _goes_on(system, worker)


async def test_unknown_fields_are_ignored(system: System, worker: Program) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    command_id = await system.publish(run_id, pid=1, host="elsewhere", new={"a": [1]})

    row = await system.outcome_of(command_id)
    assert (row["run_id"], row["outcome"]) == (run_id, "canceled")


async def test_a_field_there_twice_is_ignored_where_it_does_not_decide(
    system: System, worker: Program
) -> None:
    run_id, command_id = next(run_ids), str(uuid4())
    await system.add_run(run_id)
    body = _command(run_id=run_id, command_id=command_id, new={"run_id": 1})[:-1]

    await system.publish_raw(body + b', "reason": "a", "reason": "\\u0062"}', type=CANCEL_TYPE)

    row = await system.outcome_of(command_id)
    assert (row["run_id"], row["reason"], row["outcome"]) == (run_id, "b", "canceled")


async def test_a_command_id_used_for_another_run_is_buried(system: System, worker: Program) -> None:
    first, second, command_id = next(run_ids), next(run_ids), str(uuid4())
    await system.add_run(first)
    await system.add_run(second)
    await system.publish(first, command_id=command_id)
    await system.outcome_of(command_id)

    await system.publish(second, command_id=command_id)

    await _buried(system, "command_reused", _command(command_id=command_id, run_id=second))
    assert (await system.run(second))["status"] == "queued"
    assert (await system.outcome_of(command_id))["run_id"] == first


async def test_many_at_once_do_not_hold_up_a_good_one(system: System, worker: Program) -> None:
    for n in range(50):
        await system.publish_raw(b"bad %d" % n, type=CANCEL_TYPE)
    await _goes_on(system, worker)

    queue = await system.channel.get_queue(system.topology.dead, ensure=False)
    messages = [await queue.get(no_ack=True) for _ in range(50)]
    assert {message.body for message in messages} == {b"bad %d" % n for n in range(50)}


class Raw(str):
    """Hexadecimal digits that are sent as the bytes they stand for."""

    def __str__(self) -> str:
        return self  # and not a plain text, which the client library asks for

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return bytes.fromhex(self)


async def test_a_property_that_is_no_text_does_not_cost_the_connection(
    system: System, worker: Program
) -> None:
    run_id, command_id = next(run_ids), str(uuid4())
    await system.add_run(run_id)

    await system.publish_raw(
        _command(command_id=command_id, run_id=run_id),
        message_id=command_id,
        type=CANCEL_TYPE,
        correlation_id=Raw("ff" * 255),
    )
    await system.publish_raw(b"no command", type=Raw("ff" * 255))

    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    letter = await system.dead_letter()
    assert (letter.headers["x-reason"], letter.body) == ("unknown_type", b"no command")
    await _goes_on(system, worker)
