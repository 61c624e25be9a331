"""One command id for two runs, decided at the very same moment."""

from uuid import uuid4

import pytest

from tests.support.launcher.launching import blocked_in_database
from tools.support.processes import alive
from tools.support.system import System


async def test_of_two_workers_at_once_one_cancels_and_the_other_leaves_its_run_alone(
    system: System,
) -> None:
    # Each gets one of the two commands: a worker alone would decide one after the other.
    for host in ("north", "south"):
        await system.worker(f"{system.host}-{host}")
    await system.add_run(1)
    await system.add_run(2)
    command_id = str(uuid4())

    async with system.database.acquire() as connection, connection.transaction():
        # Lets both be looked up, finding no earlier command, and neither be recorded.
        await connection.execute("LOCK TABLE cancellations IN SHARE ROW EXCLUSIVE MODE")
        await system.publish(1, command_id=command_id)
        await system.publish(2, command_id=command_id)
        await blocked_in_database(system, statements=2)
    letter = await system.dead_letter()

    assert letter.headers["x-reason"] == "command_reused"
    recorded = await system.outcome_of(command_id)
    other = 3 - recorded["run_id"]
    assert (await system.run(recorded["run_id"]))["status"] == "canceled"
    assert (await system.run(other))["status"] == "queued"
    assert await system.cancellations(other) == []


@pytest.mark.parametrize("status", ["queued", "running", "canceling"])
async def test_recorded_for_another_run_in_that_moment_it_leaves_this_one_alone(
    system: System, status: str
) -> None:
    await system.worker()
    await system.add_run(2)
    command_id = str(uuid4())
    if status == "queued":
        await system.add_run(1)
    else:
        _, mark = await system.launch_bad_child(1, "ignores_term")
    if status == "canceling":
        await system.publish(1, grace_seconds=600)
        await system.status_becomes(1, "canceling")

    async with system.database.acquire() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO cancellations (command_id, run_id, via, force, outcome, finished_at)"
            " VALUES ($1, 2, 'direct', false, 'no_op', now())",
            command_id,
        )
        await system.publish(1, command_id=command_id, force=True)
        await blocked_in_database(system)
    letter = await system.dead_letter()

    assert letter.headers["x-reason"] == "command_reused"
    assert (await system.run(1))["status"] == status
    assert status == "queued" or alive(mark)
    assert (await system.outcome_of(command_id))["run_id"] == 2
