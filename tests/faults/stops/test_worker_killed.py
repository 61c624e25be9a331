"""A worker dies in the middle of a stop; the next one goes on where it was."""

import signal
import socket
from datetime import datetime, timedelta

from tools.support.processes import KILLED_BY, alive, until_gone
from tools.support.system import System


async def until_left(system: System, deadline: datetime, seconds: float) -> None:
    """Wait until only `seconds` are left before `deadline`, by the database's clock."""
    await system.database.fetchval(
        "SELECT pg_sleep(greatest(0, extract(epoch FROM $1 - clock_timestamp()) - $2))",
        deadline,
        seconds,
    )


async def test_killed_in_the_grace_period_it_resumes_with_the_same_deadline(
    system: System,
) -> None:
    worker = await system.worker()
    launched, mark = await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=4)
    before = await system.status_becomes(1, "canceling")

    await worker.kill()
    assert alive(mark)
    # Long enough for a grace period that began anew to end visibly late.
    await until_left(system, before["stop_deadline"], seconds=2)
    await system.worker()
    outcome = await system.outcome_of(command_id)

    await until_gone(mark, deadline=0)
    after = await system.run(1)
    assert after["status"] == "canceled"
    assert after["stop_deadline"] == before["stop_deadline"]
    late = after["finished_at"] - before["stop_deadline"]
    assert timedelta(0) <= late < timedelta(seconds=1), "neither skipped nor begun anew"
    assert outcome["outcome"] == "canceled"
    assert len(await system.cancellations(1)) == 1
    assert await launched.exit_code() == 137


async def test_killed_past_the_deadline_it_kills_at_once(system: System) -> None:
    worker = await system.worker()
    _, mark = await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=1)
    run = await system.status_becomes(1, "canceling")
    await worker.kill()
    await until_left(system, run["stop_deadline"], seconds=0)

    await system.worker()
    outcome = await system.outcome_of(command_id)

    await until_gone(mark, deadline=0)
    evidence = outcome["evidence"]
    assert [sent["signal"] for sent in evidence["signals"]] == KILLED_BY[evidence["containment"]]


async def test_another_command_resumes_the_stop_and_answers_the_first(system: System) -> None:
    worker = await system.worker()
    _, mark = await system.launch_bad_child(1, "ignores_term")
    first = await system.publish(1, grace_seconds=600)
    await system.status_becomes(1, "canceling")
    await worker.kill()

    await system.worker()
    second = await system.publish(1, force=True)

    assert (await system.outcome_of(first))["outcome"] == "canceled"
    assert (await system.outcome_of(second))["outcome"] in ("canceled", "forced", "no_op")
    await until_gone(mark, deadline=0)


async def test_shut_down_in_the_grace_period_it_hands_the_command_back(system: System) -> None:
    worker = await system.worker(worker_shutdown_timeout=0.5)
    _, mark = await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=3)
    before = await system.status_becomes(1, "canceling")

    assert await worker.stop(signal.SIGTERM) == 0
    assert alive(mark)
    assert (await system.run(1))["status"] == "canceling"
    await system.worker()

    outcome = await system.outcome_of(command_id)
    await until_gone(mark, deadline=0)
    assert outcome["outcome"] == "canceled"
    assert (await system.run(1))["stop_deadline"] == before["stop_deadline"]
    assert await system.depth(system.topology.dead) == 0


async def test_shutting_down_it_connects_no_more(system: System) -> None:
    worker = await system.worker(worker_shutdown_timeout=0.2)
    _, mark = await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=2)
    await system.status_becomes(1, "canceling")
    # Half a request keeps the launchers' socket, and so the worker, from ending at once.
    with socket.socket(socket.AF_UNIX) as half:
        half.connect(str(system.socket()))
        half.sendall(b"POST /v1/launches HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
        assert await worker.stop(signal.SIGTERM) == 0

    names = [e["connection"] for e in worker.events if e["event"] == "rabbitmq_connected"]
    assert len(names) == len(set(names)) == 4, "commands, runs, publishing, events"
    await system.worker()
    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    await until_gone(mark, deadline=0)
    assert await system.depth(system.topology.dead) == 0
