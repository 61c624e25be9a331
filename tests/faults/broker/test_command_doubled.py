"""One command is in the queue twice, and two workers decide on it at the same moment."""

import json
from uuid import uuid4

from shared.postgres import sql
from tests.support.launcher.launching import blocked_in_database, locked_run
from tools.support.system import System


async def test_decided_by_two_workers_at_once_it_is_one_command(system: System) -> None:
    workers = [await system.worker("a"), await system.worker("b")]
    await system.add_run(1)
    command_id = str(uuid4())

    # A publisher that had no confirm sends it again. Each worker takes one of them.
    async with locked_run(system, 1):
        for _ in workers:
            await system.publish(1, command_id=command_id)
        await blocked_in_database(system, statements=2)

    for worker in workers:
        await worker.event("command_settled", command_id=command_id, result="canceled", deadline=10)
    [only] = await system.cancellations(1)
    assert only["outcome"] == "canceled"
    assert await system.depth(system.topology.dead) == 0


async def test_a_replay_that_meets_the_end_of_its_stop_is_answered_by_it(system: System) -> None:
    """The stop that failed before ends while the replay waits for the run's lock."""
    worker = await system.worker()
    await system.launch_bad_child(1, "ignores_term")
    failed = await system.publish(1, grace_seconds=600)
    await system.status_becomes(1, "canceling")
    async with system.database.acquire() as connection:
        async with connection.transaction():
            await connection.execute(
                "UPDATE cancellations SET outcome = 'stop_failed', finished_at = now()"
            )
            # The letter of that is the one that is replayed.
            await connection.execute("DELETE FROM outbox")
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(sql.runs.LOCK_RUN, 1)
        await system.publish(1, command_id=failed)
        await blocked_in_database(system)
        await connection.execute(
            "UPDATE runs SET status = 'canceled', finished_at = clock_timestamp(), "
            "proof = 'scans_empty'"
        )
        await connection.execute(
            "UPDATE cancellations SET outcome = 'canceled', evidence = $1",
            json.dumps({"proof": "scans_empty"}),
        )
        await transaction.commit()

    await worker.event("command_settled", command_id=failed, result="canceled", deadline=10)
    assert [row["outcome"] for row in await system.cancellations(1)] == ["canceled"]
    assert await system.depth(system.topology.dead) == 0
