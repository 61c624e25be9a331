"""One command id for two runs, decided at the very same moment."""

import asyncio
from uuid import uuid4

from tests.support.system import System


async def test_decided_at_once_one_run_is_canceled_and_the_other_left_alone(
    system: System,
) -> None:
    await system.worker()
    await system.add_run(1)
    await system.add_run(2)
    command_id = str(uuid4())

    async with system.database.acquire() as connection, connection.transaction():
        # Lets both be looked up, finding no earlier command, and neither be recorded.
        await connection.execute("LOCK TABLE cancellations IN SHARE ROW EXCLUSIVE MODE")
        await system.publish(1, command_id=command_id)
        await system.publish(2, command_id=command_id)
        await both_wait(system)
    letter = await system.dead_letter()

    assert letter.headers["x-reason"] == "command_reused"
    recorded = await system.outcome_of(command_id)
    other = 3 - recorded["run_id"]
    assert (await system.run(recorded["run_id"]))["status"] == "canceled"
    assert (await system.run(other))["status"] == "queued"
    assert await system.cancellations(other) == []


async def both_wait(system: System) -> None:
    async with asyncio.timeout(20):
        while True:
            waiting = await system.database.fetchval(
                """
                SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'
                """
            )
            if waiting == 2:
                return
            await asyncio.sleep(0.01)
