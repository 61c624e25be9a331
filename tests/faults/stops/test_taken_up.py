"""What is on record as open is carried out, though the message that asked for it is lost."""

from operator import not_
from uuid import uuid4

import pytest

from tests.support.launcher.launching import WAITS, blocked_in_database, locked_run
from tests.support.records.hosts import BEAT
from tests.support.rights.privileges import NOBODY
from tools.support.processes import alive, until_gone
from tools.support.program import DEADLINE
from tools.support.rows import CANCELING, insert_run
from tools.support.system import System
from tools.support.waiting import eventually
from worker.processes.cgroup import mount_point
from worker.processes.identity import boot_id, pid_namespace

OPEN = """
    INSERT INTO cancellations (command_id, run_id, via, requested_by, force)
    VALUES ($1, $2, 'direct', 'alice', false)
"""
MANY = 1500


async def record_open(system: System, run_id: int) -> str:
    """As a worker elsewhere leaves it, whose message to this host is lost."""
    await system.database.execute(OPEN, command_id := str(uuid4()), run_id)
    return command_id


async def test_by_a_worker_that_is_there_with_its_next_beat(system: System) -> None:
    worker = await system.worker(host_heartbeat=BEAT)
    _, mark = await system.launch_bad_child(1, "obeys")

    row = await system.outcome_of(await record_open(system, 1))

    assert (row["outcome"], row["evidence"]["ended"]) == ("canceled", "obeyed")
    assert row["requested_by"] == "alice"
    await worker.event("command_taken_up", run_id=1)
    await until_gone(mark, deadline=0)


async def test_by_one_that_starts(system: System) -> None:
    worker = await system.worker(host_heartbeat=60)
    _, mark = await system.launch_bad_child(1, "obeys")
    await worker.kill()
    command_id = await record_open(system, 1)

    await system.worker(host_heartbeat=60)

    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    await until_gone(mark, deadline=0)


async def test_also_where_another_had_the_run_in_hand_when_it_was_looked_for(
    system: System,
) -> None:
    worker = await system.worker(host_heartbeat=60)
    _, mark = await system.launch_bad_child(1, "obeys")
    await worker.kill()
    command_id = await record_open(system, 1)

    await system.add_run(2)

    async with locked_run(system, 1):
        await system.worker(host_heartbeat=60)
        await system.outcome_of(await system.publish(2))  # it has looked by then

    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    await until_gone(mark, deadline=0)


async def test_a_stop_without_a_worker_goes_on_to_its_deadline(system: System) -> None:
    await system.worker(host_heartbeat=BEAT)
    _, mark = await system.launch_bad_child(1, "ignores_term")
    async with system.database.acquire() as connection, connection.transaction():
        await connection.execute(
            "UPDATE runs SET status = 'canceling', canceling_at = now(),"
            " stop_deadline = now() + interval '0.3 s' WHERE run_id = 1"
        )
        await connection.execute(OPEN, command_id := str(uuid4()), 1)

    row = await system.outcome_of(command_id)

    assert (row["outcome"], row["evidence"]["ended"]) == ("canceled", "killed")
    await until_gone(mark, deadline=0)


async def test_a_repeat_of_one_that_waits_for_another_host_is_carried_out_once(
    system: System,
) -> None:
    other = f"{system.host}-other"
    here = await system.worker(host_heartbeat=BEAT)
    away = await system.worker(other, host_heartbeat=BEAT)
    await system.launch_bad_child(1, "obeys", socket=system.socket(other))
    await away.kill()
    command_id = await system.publish(1)
    await here.event("command_open", waits_for=other)
    await system.publish(1, command_id=command_id)
    await here.event("command_open", waits_for=other, count=2)

    await system.worker(other, host_heartbeat=BEAT)

    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    assert len(await system.cancellations(1)) == 1
    assert await system.depth(system.topology.dead) == 0


async def test_more_than_are_taken_up_at_once(system: System) -> None:
    if (mount := mount_point()) is None:
        pytest.skip("no cgroup v2 is mounted")
    await (await system.worker()).stop()
    stopping = {
        **CANCELING,
        "host": system.host,
        "boot_id": str(boot_id()),
        "pid_namespace": pid_namespace(),
        "uid": NOBODY,
    }
    for run_id in range(1, MANY + 1):
        # As their cgroups are gone, they are proved gone at the first look.
        gone = {"pid": 2**22 + run_id, "cgroup": f"{mount}/gone-{run_id}"}
        await insert_run(system.database, run_id, {**stopping, **gone})
        await record_open(system, run_id)

    await system.worker(host_heartbeat=60)

    query = "SELECT count(*) FROM cancellations WHERE outcome IS DISTINCT FROM 'canceled'"
    await eventually(lambda: system.database.fetchval(query), not_, deadline=2 * DEADLINE)


async def test_a_job_without_a_cancel_goes_on(system: System) -> None:
    worker = await system.worker(host_heartbeat=BEAT)
    _, mark = await system.launch_bad_child(1, "obeys")
    _, other = await system.launch_bad_child(2, "obeys")
    await system.outcome_of(await record_open(system, 2))
    await worker.event("command_taken_up", run_id=2)

    assert alive(mark)
    assert not alive(other)


async def test_a_stop_over_which_five_workers_ended_is_given_up(system: System) -> None:
    worker = await system.worker(host_heartbeat=BEAT)
    _, mark = await system.launch_bad_child(1, "obeys")
    async with system.database.acquire() as connection, connection.transaction():
        await connection.execute(OPEN, command_id := str(uuid4()), 1)
        await connection.execute("UPDATE cancellations SET taken_up = 5")

    row = await system.outcome_of(command_id)

    assert (row["outcome"], row["evidence"]["workers_ended"]) == ("stop_failed", 5)
    await worker.event("command_given_up", run_id=1)
    assert alive(mark)
    _, shown, _ = await system.cli("worker", "runs", "show", "1")
    assert "stop_failed: its stop was taken up 5 times and never ended" in shown


async def test_giving_up_waits_for_the_one_that_has_the_run_in_hand(system: System) -> None:
    worker = await system.worker(host_heartbeat=BEAT)
    await system.launch_bad_child(1, "obeys")
    async with system.database.acquire() as connection, connection.transaction():
        # So that a command on it can still be recorded.
        await connection.execute("SELECT FROM runs WHERE run_id = 1 FOR NO KEY UPDATE")
        async with system.database.acquire() as other, other.transaction():
            await other.execute(OPEN, command_id := str(uuid4()), 1)
            await other.execute("UPDATE cancellations SET taken_up = 5")
        await blocked_in_database(system)

        # As whatever decides and records, with the run in hand: taken the other way round, one of
        # the two would be ended by Postgres.
        await connection.execute("UPDATE cancellations SET reason = 'meanwhile'")

    row = await system.outcome_of(command_id)
    assert (row["outcome"], row["reason"]) == ("stop_failed", "meanwhile")
    assert not {"command_not_taken_up", "service_unavailable"} & {e["event"] for e in worker.events}


async def test_each_time_that_a_worker_takes_one_up_is_counted(system: System) -> None:
    worker = await system.worker(host_heartbeat=BEAT)
    await system.launch_bad_child(1, "ignores_term")
    await system.database.execute(OPEN, str(uuid4()), 1)
    for _ in range(2):
        await worker.event("command_taken_up", run_id=1)
        await worker.kill()
        worker = await system.worker(host_heartbeat=BEAT, grace_seconds=60)
    await worker.event("command_taken_up", run_id=1)

    assert await system.database.fetchval("SELECT taken_up FROM cancellations") == 3


async def test_what_waited_when_its_run_ended_by_itself_is_answered(system: System) -> None:
    await system.worker(host_heartbeat=60)
    await system.add_run(1)
    launched = await system.launch(1, "sh", "-c", WAITS, str(code := system.directory / "code"))
    await launched.ready()
    command_id = await record_open(system, 1)

    code.write_text("3")

    assert await launched.exit_code() == 3
    row = await system.outcome_of(command_id)
    assert (row["outcome"], row["evidence"]) == ("no_op", {"run_status": "fail"})
