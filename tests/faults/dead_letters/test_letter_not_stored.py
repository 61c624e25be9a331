"""A letter that Postgres refuses is held by the keeper, and costs neither itself nor others."""

import asyncio
from typing import Final
from uuid import uuid4

from shared.aio.tasks import end
from shared.commands import CANCEL_TYPE
from tests.support.broker.queues import holds
from tools.support.system import System
from tools.support.waiting import eventually

REFUSED: Final = b"refused"
SHORT: Final = "tests.support.broker.worker_with_short_pauses"

REFUSE: Final = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'no such letter here';
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON dead_letters FOR EACH ROW
      WHEN (NEW.body = 'refused') EXECUTE FUNCTION refuse();
"""
ATTEMPTS: Final = 5
PACE: Final = 0.02
"""Seconds: less than the keeper waits before it tries again."""


async def test_a_letter_that_cannot_be_stored_is_held_and_the_others_are_stored(
    system: System,
) -> None:
    await system.database.execute(REFUSE)
    others = [uuid4().bytes for _ in range(3)]
    for body in (others[0], REFUSED, *others[1:]):
        await system.publish_raw(body, type=CANCEL_TYPE)

    worker = await system.worker(module=SHORT, keep_dead_letters="true")
    await worker.event("dead_letters_not_kept", count=ATTEMPTS, where=lambda log: log["count"] == 1)

    assert await _kept(system) == set(others)
    await worker.kill()
    await holds(system, system.topology.dead, 1)
    assert await _failed_deliveries(system) == 1, "each attempt counted, not only the lost worker"

    await system.database.execute("DROP TRIGGER refuse ON dead_letters")
    await system.worker(module=SHORT, keep_dead_letters="true")
    await eventually(lambda: _kept(system), lambda kept: kept == {REFUSED, *others})
    await holds(system, system.topology.dead, 0)


async def test_a_letter_that_was_held_is_stored_and_acknowledged_once_it_can_be(
    system: System,
) -> None:
    await system.database.execute(REFUSE)
    worker = await system.worker(module=SHORT, keep_dead_letters="true")
    await system.publish_raw(REFUSED, type=CANCEL_TYPE)
    await worker.event("dead_letters_not_kept")
    await system.publish_raw(b"later", type=CANCEL_TYPE)
    await eventually(lambda: _kept(system), lambda kept: kept == {b"later"})

    await system.database.execute("DROP TRIGGER refuse ON dead_letters")

    await eventually(lambda: _kept(system), lambda kept: kept == {REFUSED, b"later"})
    await worker.stop()
    assert await system.depth(system.topology.dead) == 0


async def test_a_letter_that_is_held_is_tried_again_while_others_arrive_all_the_time(
    system: System,
) -> None:
    async def arrive() -> None:
        while True:
            await system.publish_raw(uuid4().bytes, type=CANCEL_TYPE)
            await asyncio.sleep(PACE)  # of letters that arrive all the time

    await system.database.execute(REFUSE)
    worker = await system.worker(module=SHORT, keep_dead_letters="true")
    await system.publish_raw(REFUSED, type=CANCEL_TYPE)
    await worker.event("dead_letters_not_kept")
    await system.database.execute("DROP TRIGGER refuse ON dead_letters")
    arriving = asyncio.create_task(arrive())
    try:
        await eventually(lambda: _kept(system), lambda kept: REFUSED in kept)
    finally:
        await end(arriving)


async def _kept(system: System) -> set[bytes]:
    rows = await system.database.fetch("SELECT body FROM dead_letters")
    return {bytes(row["body"]) for row in rows}


async def _failed_deliveries(system: System) -> object:
    """How many deliveries of the message the broker has counted. The message stays."""
    queue = await system.channel.get_queue(system.topology.dead, ensure=False)
    message = await queue.get()
    await message.nack(requeue=True)
    return message.headers.get("x-delivery-count")
