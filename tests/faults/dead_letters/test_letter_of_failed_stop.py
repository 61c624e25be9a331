"""A stop that fails has its dead letter, whatever ends between its outcome and the queue."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from operator import not_
from typing import Any
from uuid import uuid4

import pytest

from shared.commands import CANCEL_TYPE
from tests.support.broker.queues import holds
from tests.support.postgres.commit_proxy import CommitProxy
from tests.support.records.letters import dead_letters
from tests.support.stops.powerless import MODULE, environment, powerless
from tools.support.processes import until_gone
from tools.support.program import Program
from tools.support.system import System
from tools.support.waiting import eventually

OPEN = """
    INSERT INTO cancellations (command_id, run_id, via, requested_by, force, grace_seconds)
    VALUES ($1, 1, 'direct', 'alice', false, 0)
"""
LETTERS_DUE = "SELECT count(*) FROM outbox WHERE type = 'dead_letter'"


@pytest.fixture
def no_kills(system: System) -> Iterator[None]:
    with powerless(system):
        yield


async def start(system: System, *, keeps: bool = True, **env: str) -> Program:
    return await system.worker(
        module=MODULE,
        env={**environment(system), **env},
        kill_wait=0.3,
        host_heartbeat=0.2,
        keep_dead_letters=str(keeps).lower(),
    )


@asynccontextmanager
async def nothing_published(system: System) -> AsyncIterator[None]:
    """Have the turn of the one that publishes."""
    async with system.database.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM turns WHERE name = 'relay' FOR UPDATE")
        yield


async def fail(system: System, command_id: str) -> None:
    assert (await system.outcome_of(command_id))["outcome"] == "stop_failed"
    assert await system.database.fetchval(LETTERS_DUE) == 1


async def publish(system: System) -> tuple[str, bytes]:
    """A command in a message that has more to it; its id and its body."""
    command_id = str(uuid4())
    body = f'{{ "run_id":1,\n "command_id": "{command_id}", "grace_seconds" : 0.0 }}'.encode()
    await system.publish_raw(
        body,
        message_id=command_id,
        type=CANCEL_TYPE,
        correlation_id="request-1",
        headers={"mine": "1", "number": 7},
    )
    return command_id, body


async def told_of_all(system: System) -> None:
    await eventually(lambda: system.database.fetchval(LETTERS_DUE), not_)


async def the_letter(system: System, command_id: str) -> dict[str, Any]:
    """The only one, once the queue is empty."""
    await system.dead_letter_kept(command_id)
    await told_of_all(system)
    await holds(system, system.topology.dead, 0)
    [letter] = await system.database.fetch("SELECT * FROM dead_letters")
    return dict(letter)


def is_of(letter: dict[str, Any], body: bytes) -> bool:
    headers = json.loads(letter["headers"])
    return bool(
        letter["reason"] == "stop_failed"
        and letter["body"] == body
        and letter["correlation_id"] == "request-1"
        and (headers["mine"], headers["number"]) == ("1", 7)
    )


@pytest.mark.usefixtures("no_kills")
async def test_killed_before_it_is_published_it_is_published_by_the_next_one(
    system: System,
) -> None:
    worker = await start(system)
    await system.launch_bad_child(1, "ignores_term")
    async with nothing_published(system):
        command_id, body = await publish(system)
        await fail(system, command_id)
        await worker.kill()
    assert await system.depth(system.topology.dead) == 0

    await start(system)

    assert is_of(await the_letter(system, command_id), body)


@pytest.mark.usefixtures("no_kills")
async def test_killed_after_it_is_published_it_is_kept_once(
    system: System, commits: CommitProxy
) -> None:
    worker = await start(system, keeps=False, DATABASE_URL=commits.proxied)
    await system.launch_bad_child(1, "ignores_term")
    async with nothing_published(system):
        command_id, body = await publish(system)
        await fail(system, command_id)
        commits.hold()
    await worker.event("command_dead_lettered")
    await commits.held.wait()
    await worker.kill()
    await commits.cut()
    assert await system.database.fetchval(LETTERS_DUE) == 1

    again = await start(system, keeps=False)
    await again.event("command_dead_lettered")
    await told_of_all(system)
    await again.stop()
    queue = await system.channel.get_queue(system.topology.dead, ensure=False)
    copies = [await queue.get(), await queue.get()]
    assert copies[0].headers == copies[1].headers, "who reads them cannot tell that they are one"
    for copy in copies:
        await copy.nack(requeue=True)
    await start(system)

    assert is_of(await the_letter(system, command_id), body)


async def test_one_of_a_record_without_a_message_can_be_replayed(system: System) -> None:
    with powerless(system):
        await start(system)
        _, mark = await system.launch_bad_child(1, "ignores_term")
        await system.database.execute(OPEN, command_id := str(uuid4()))
        letter = await system.dead_letter_kept(command_id)
        assert (letter["reason"], json.loads(letter["body"])["requested_by"]) == (
            "stop_failed",
            "alice",
        )

    code, out, err = await dead_letters(system, "replay", str(letter["letter_id"]), "--wait", "30")

    assert (code, err) == (0, "")
    assert f"letter {letter['letter_id']}: canceled, run 1" in out
    await until_gone(mark, deadline=0)


@pytest.mark.usefixtures("no_kills")
async def test_a_queue_that_was_deleted_gets_it_once_it_is_declared_again(system: System) -> None:
    worker = await start(system, keeps=False)
    await system.launch_bad_child(1, "ignores_term")
    async with nothing_published(system):
        command_id, body = await publish(system)
        await fail(system, command_id)
        await system.channel.queue_delete(system.topology.dead)

    await worker.event("command_dead_lettered")

    letter = await system.dead_letter()
    assert (letter.body, letter.correlation_id) == (body, "request-1")
    assert (letter.headers["mine"], letter.headers["number"]) == ("1", 7)
    await told_of_all(system)
    assert await system.depth(system.topology.dead) == 0
