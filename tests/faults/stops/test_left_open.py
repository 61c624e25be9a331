"""Whatever happens at the same moment, no command stays open, or is open again, for ever."""

from uuid import uuid4

import aio_pika

from tests.support.launcher.launching import WAITS, blocked_in_database
from tests.support.records.hosts import BEAT
from tools.support.system import System

OPEN = """
    INSERT INTO cancellations (command_id, run_id, via, requested_by, force, taken_up)
    VALUES ($1, $2, 'direct', 'alice', false, $3)
"""


async def test_one_that_is_recorded_while_the_runs_end_waits_for_that(system: System) -> None:
    """As by a worker elsewhere, which has the run locked."""
    await system.worker(host_heartbeat=BEAT)
    await system.add_run(1)
    file = system.directory / "code"
    launched = await system.launch(1, "sh", "-c", WAITS, str(file))
    await launched.ready()
    command_id = str(uuid4())

    async with system.database.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM runs WHERE run_id = 1 FOR UPDATE")
        file.write_text("0")
        await blocked_in_database(system)
        await connection.execute(OPEN, command_id, 1, 0)

    row = await system.outcome_of(command_id)
    assert (row["outcome"], row["evidence"]) == ("no_op", {"run_status": "pass"})
    assert (await system.run(1))["status"] == "pass"


async def test_one_that_fails_while_it_is_to_be_taken_up_stays_failed(system: System) -> None:
    worker = await system.worker()
    for run_id in (1, 2, 3):
        await system.launch_bad_child(run_id, "obeys")
    await worker.stop()
    given_up, failing, later = (str(uuid4()) for _ in range(3))
    await system.database.execute(OPEN, given_up, 1, 5)
    await system.database.execute(OPEN, failing, 2, 0)

    async with system.database.acquire() as connection, connection.transaction():
        # The one that is given up waits for this, and the other one for that.
        await connection.execute("SELECT FROM runs WHERE run_id = 1 FOR UPDATE")
        worker = await system.worker(host_heartbeat=60)
        await blocked_in_database(system)
        await system.database.execute(
            "UPDATE cancellations SET outcome = 'stop_failed', finished_at = now(),"
            ' evidence = \'{"ended": "survived"}\' WHERE command_id = $1',
            failing,
        )
    await worker.event("command_given_up", run_id=1)
    await system.database.execute(OPEN, later, 3, 0)
    exchange = await system.channel.get_exchange(system.topology.wakes)
    await exchange.publish(aio_pika.Message(b""), system.host, mandatory=True)
    await system.outcome_of(later)

    assert (await system.outcome_of(failing))["outcome"] == "stop_failed"
    assert (await system.run(2))["status"] == "running"


async def test_a_replay_of_what_was_given_up_is_tried_again(system: System) -> None:
    """It is opened again by a worker elsewhere."""
    elsewhere = await system.worker("elsewhere")
    here = await system.worker()
    await system.launch_bad_child(1, "obeys")
    await here.stop()
    await system.database.execute(OPEN, command_id := str(uuid4()), 1, 5)
    here = await system.worker()
    assert (await system.outcome_of(command_id))["outcome"] == "stop_failed"
    await here.stop()

    await system.publish(1, command_id=command_id)
    await elsewhere.event("command_open", waits_for=system.host)
    await system.worker()

    row = await system.outcome_of(command_id)
    assert (row["outcome"], row["taken_up"]) == ("canceled", 1)
