"""A body that is no command goes to the dead letters as it came; the worker goes on."""

import json
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from shared.commands import CANCEL_TYPE, MAX_BODY
from shared.limits import BIGINT_MAX
from tests.support.broker.buried import ID, buried, command, goes_on, run_ids
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.program import Program
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("bad")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(system: System) -> Program:
    return await system.worker()


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
        command()[:-1],
        command() + b"{}",
        b'{"run_id": 1}',
        json.dumps({"command_id": ID}).encode(),
        command(command_id="7"),
        command(run_id="1"),
        command(run_id=0),
        command(run_id=-1),
        command(run_id=1.5),
        command(run_id=True),
        command(run_id=None),
        command(run_id=BIGINT_MAX + 1),
        command(run_id=10**400),
        command(grace_seconds=-1),
        command(grace_seconds=600.5),
        command(grace_seconds=float("nan")),
        command(force="yes"),
        b'{"command_id": "' + ID.encode() + b'", "run_id": 1, "reason": "\xff"}',
        command()[:-1] + b', "run_id": 2}',
        command()[:-1] + b', "run\\u005fid": 1}',
        command(reason="\ud800")[:-1] + b', "force": true, "force": false}',
        b"[" * MAX_BODY,
        b'{"a":' * (MAX_BODY // 5),
        b'{"run_id":' + b"9" * 60_000 + b"}",
        b'{"command_id":"\\ud800","run_id":"\\udfff\\u0000"}',
        b'{"command_id":"\xed\xa0\x80","run_id":1}',
        b"[" * 1_000_000,
        b"x" * (MAX_BODY + 1),
        command(reason="x" * MAX_BODY),
        # Commands, if their heads were read as such.
        command() + b" " * MAX_BODY,
        command() + b" " * MAX_BODY + b"{}",
    ],
    ids=lambda body: f"{len(body)}-{body[:60].decode(errors='replace')}",
)
async def test_a_malformed_body_is_buried_byte_for_byte_or_its_head_and_size(
    system: System, worker: Program, body: bytes
) -> None:
    await system.publish_raw(body, type=CANCEL_TYPE)

    message = await buried(system, "malformed", body)

    assert message.type == CANCEL_TYPE
    await goes_on(system, worker)


async def test_a_command_may_be_as_large_as_is_documented(system: System, worker: Program) -> None:
    run_id, command_id = next(run_ids), str(uuid4())
    await system.add_run(run_id)
    body = command(command_id=command_id, run_id=run_id)

    await system.publish_raw(body + b" " * (MAX_BODY - len(body)), type=CANCEL_TYPE)

    assert (await system.outcome_of(command_id))["outcome"] == "canceled"


async def test_of_a_large_body_all_but_its_tail_is_kept_whatever_it_is_refused_for(
    system: System, worker: Program
) -> None:
    body = b"\x1b" * (3 * MAX_BODY)

    await system.publish_raw(
        body, type="t", message_id="m", correlation_id="c", app_id="a", headers={"mine": "1"}
    )

    message = await buried(system, "unknown_type", body)
    assert (message.type, message.message_id, message.correlation_id) == ("t", "m", "c")
    assert (message.app_id, message.headers["mine"]) == ("a", "1")


async def test_a_head_that_is_put_back_to_work_is_no_command_either(
    system: System, worker: Program
) -> None:
    body = command() + b" " * MAX_BODY
    await system.publish_raw(body, type=CANCEL_TYPE)
    letter = await buried(system, "malformed", body)

    await system.publish_raw(
        letter.body,
        type=CANCEL_TYPE,
        headers=letter.headers,
        user_id=letter.user_id,
    )

    again = await buried(system, "malformed", body)
    assert again.headers["x-error"] == (
        f"the body has {len(body)} bytes; a command has at most {MAX_BODY}"
    )


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
    body = command(run_id=run_id, command_id=command_id, new={"run_id": 1})[:-1]

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

    await buried(system, "command_reused", command(command_id=command_id, run_id=second))
    assert (await system.run(second))["status"] == "queued"
    assert (await system.outcome_of(command_id))["run_id"] == first


async def test_many_at_once_do_not_hold_up_a_good_one(system: System, worker: Program) -> None:
    for n in range(50):
        await system.publish_raw(b"bad %d" % n, type=CANCEL_TYPE)
    await goes_on(system, worker)

    queue = await system.channel.get_queue(system.topology.dead, ensure=False)
    messages = [await queue.get(no_ack=True) for _ in range(50)]
    assert {message.body for message in messages} == {b"bad %d" % n for n in range(50)}
