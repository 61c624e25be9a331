"""Commands that kill each worker that takes them leave the queue, and go where they are seen."""

import json
from typing import Final
from uuid import uuid4

from shared.amqp.keys import REST_KEY
from shared.commands import CANCEL_TYPE
from tools.support.records import Json
from tools.support.system import System
from tools.support.waiting import eventually

LIMIT: Final = 20
"""Deliveries that are counted before a command is given up; the first one is not."""
POISONED: Final = (1, 2)

WAITING: Final = """
    FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def test_a_command_that_kills_its_workers_becomes_a_dead_letter_and_others_go_on(
    system: System,
) -> None:
    for run_id in POISONED:
        await system.add_run(run_id)
    bodies = [await _poison(system), await _poison_over_rest(system)]
    others: list[tuple[int, str]] = []

    async with system.database.acquire() as connection, connection.transaction():
        # Whoever takes one of these commands waits for its run, and does not settle it.
        await connection.execute(
            "SELECT FROM runs WHERE run_id = ANY ($1::bigint[]) FOR UPDATE", list(POISONED)
        )
        kills = 0
        while await _poison_is_queued(system):
            assert kills <= LIMIT + 2, "delivered more often than its limit allows"
            await _kill_a_worker_that_holds_the_poison(system, others)
            kills += 1

    survivor = await system.worker(keep_dead_letters="true")
    letters = await _letters(system, len(bodies))
    assert kills >= LIMIT
    for body, letter in zip(bodies, letters, strict=True):
        assert letter["body"] == body
        assert (letter["reason"], letter["state"]) == ("delivery_limit", "waiting")
        assert letter["exchange"] == system.topology.commands
        assert str(letter["command_id"]) == letter["message_id"]
    for run_id in POISONED:
        assert (await system.run(run_id))["status"] == "queued"
        assert await system.cancellations(run_id) == []
    for run_id, command_id in [*others, await _another(system, 1000)]:
        assert (await system.outcome_of(command_id))["outcome"] == "canceled"
        assert len(await system.cancellations(run_id)) == 1
    assert survivor.process.returncode is None
    for queue in (system.topology.cancel, system.topology.rest, system.topology.dead):
        assert await system.depth(queue) == 0


async def _poison(system: System) -> bytes:
    command_id = str(uuid4())
    body = b'{"run_id":\t1,  "command_id": "%b", "odd": "\\u00e9"}' % command_id.encode()
    await system.publish_raw(body, type=CANCEL_TYPE, message_id=command_id)
    return body


async def _poison_over_rest(system: System) -> bytes:
    command_id = str(uuid4())
    body = json.dumps({"run_id": 2, "command_id": command_id}).encode()
    await system.publish_raw(body, key=REST_KEY, type=CANCEL_TYPE, message_id=command_id)
    return body


async def _kill_a_worker_that_holds_the_poison(
    system: System, others: list[tuple[int, str]]
) -> None:
    worker = await system.worker()
    await _until_waiting(system, len(POISONED))
    others.append(await _another(system, 100 + len(others)))
    await worker.kill()

    async def end_its_sessions() -> int:
        # Postgres would notice that they are gone only when it has something to tell them. What
        # the worker sent last may start to wait after the others were ended: so, again.
        await system.database.execute(f"SELECT pg_terminate_backend(pid) {WAITING}")
        return int(await system.database.fetchval(f"SELECT count(*) {WAITING}"))

    await eventually(end_its_sessions, lambda waiting: waiting == 0)


async def _another(system: System, run_id: int) -> tuple[int, str]:
    await system.add_run(run_id)
    return run_id, await system.publish(run_id)


async def _until_waiting(system: System, count: int) -> None:
    query = f"SELECT count(*) {WAITING}"
    await eventually(lambda: system.database.fetchval(query), lambda waiting: waiting == count)


async def _poison_is_queued(system: System) -> bool:
    """Wait until the broker has given back, or given up, what the last worker held."""

    async def depths() -> tuple[int, int]:
        return await system.depth(system.topology.dead), await system.depth(system.topology.rest)

    dead, _ = await eventually(depths, lambda found: found[0] == len(POISONED) or found[1] == 1)
    return dead != len(POISONED)


async def _letters(system: System, count: int) -> list[Json]:
    rows = await eventually(
        lambda: system.database.fetch("SELECT * FROM dead_letters ORDER BY run_id"),
        lambda rows: len(rows) >= count,
    )
    return [dict(row) for row in rows]
