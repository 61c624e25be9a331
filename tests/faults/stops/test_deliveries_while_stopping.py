"""A delivery is acknowledged when its command is on record, however long the stop takes."""

import signal

from tests.support.broker.queues import holds
from tests.support.launcher.launching import blocked_in_database, locked_run
from tests.support.telemetry.exposition import Exposed, monitoring_url, scrape
from tools.support.processes import alive, until_gone
from tools.support.program import Program
from tools.support.system import System
from tools.support.waiting import eventually


async def test_a_stop_in_its_grace_period_keeps_no_command_waiting(system: System) -> None:
    worker = await system.worker(prefetch=1, worker_http_port=0)
    _, mark = await system.launch_bad_child(1, "ignores_term")
    _, other = await system.launch_bad_child(2, "obeys")
    await system.publish(1, grace_seconds=600)
    await system.status_becomes(1, "canceling")

    row = await system.outcome_of(await system.publish(2))

    assert row["outcome"] == "canceled"
    await until_gone(other, deadline=0)
    metrics = await _all_acknowledged(system, worker)
    assert metrics.value("cancel_stops_in_flight") == 1
    assert alive(mark)


async def test_a_worker_killed_meanwhile_gives_nothing_back_and_the_next_one_goes_on(
    system: System,
) -> None:
    worker = await system.worker(worker_http_port=0)
    _, mark = await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=2)
    await system.status_becomes(1, "canceling")
    await _all_acknowledged(system, worker)
    deadline = (await system.run(1))["stop_deadline"]
    await worker.kill()
    await holds(system, system.topology.cancel, 0)

    await system.worker()

    row = await system.outcome_of(command_id)
    assert (row["outcome"], row["evidence"]["ended"]) == ("canceled", "killed")
    assert row["taken_up"] == 1
    assert (await system.run(1))["stop_deadline"] == deadline
    await until_gone(mark, deadline=0)


async def test_one_that_is_stopped_leaves_it_to_the_next_one(system: System) -> None:
    worker = await system.worker(worker_shutdown_timeout=0.2)
    _, mark = await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=8)  # longer than two workers take to start
    await system.status_becomes(1, "canceling")

    for _ in range(2):
        assert await worker.stop() == 0
        assert alive(mark)
        worker = await system.worker(worker_shutdown_timeout=0.2)
        await worker.event("command_taken_up", run_id=1)

    row = await system.outcome_of(command_id)
    assert (row["outcome"], row["evidence"]["ended"]) == ("canceled", "killed")
    # Nobody ended over it.
    assert row["taken_up"] == 1
    await until_gone(mark, deadline=0)


async def test_one_that_is_stopped_takes_no_command_while_its_stops_end(system: System) -> None:
    worker = await system.worker(worker_shutdown_timeout=60)
    _, mark = await system.launch_bad_child(1, "ignores_term")
    await system.add_run(2)
    await system.publish(1, grace_seconds=600)
    await system.status_becomes(1, "canceling")
    worker.process.send_signal(signal.SIGTERM)
    await worker.event("worker_stopping")

    command_id = await system.publish(2)

    # It may have been delivered while the worker settled its last ones.
    await holds(system, system.topology.cancel, 1)
    assert alive(mark)
    await worker.kill()
    await system.worker()
    assert (await system.outcome_of(command_id))["outcome"] == "canceled"


async def test_a_repeat_that_meets_its_own_outcome_is_no_reuse(system: System) -> None:
    """Two workers decide at once on a command that asks for no more than one that waits."""
    other = f"{system.host}-other"
    away = await system.worker(other)
    await system.launch_bad_child(1, "obeys", socket=system.socket(other))
    await away.kill()
    workers = [await system.worker(f"{system.host}-{number}") for number in range(2)]
    waiting = await system.publish(1)
    await eventually(lambda: system.cancellations(1))

    async with locked_run(system, 1):
        repeated = await system.publish(1)
        for _ in range(3):
            await system.publish(1, command_id=repeated)
        await blocked_in_database(system, statements=len(workers))

    row = await system.outcome_of(repeated)
    assert (row["outcome"], row["evidence"]) == ("no_op", {"cancel_pending": True})
    await holds(system, system.topology.cancel, 0)
    assert await system.depth(system.topology.dead) == 0
    await system.worker(other)
    assert (await system.outcome_of(waiting))["outcome"] == "canceled"


async def _all_acknowledged(system: System, worker: Program) -> Exposed:
    """What the worker exports once it has acknowledged each delivery: after the commit."""
    url = await monitoring_url(worker)
    return await eventually(
        lambda: scrape(system.http, url),
        lambda exposed: exposed.value("cancel_commands_in_flight") == 0,
    )
