"""A host name stands for one machine and, on it, for one worker."""

import asyncio
import json
from time import monotonic

from tests.support.records.hosts import (
    BEAT,
    abandon,
    beats,
    becomes,
    described,
    keep_beating,
    rebooted,
)
from tools.support.processes import alive
from tools.support.system import System


async def test_a_second_machine_of_a_name_is_refused_and_changes_nothing(system: System) -> None:
    worker = await system.worker(host_heartbeat=BEAT)
    _, mark = await system.launch_bad_child(1, "sleeps")
    await worker.kill()
    await rebooted(system, system.host)
    before = await system.run(1)

    beating = asyncio.create_task(keep_beating(system, system.host))
    code, _, err = await system.cli("worker", "serve", env={"CANCEL_HOST_HEARTBEAT": str(BEAT)})
    beating.cancel()

    assert code == 2
    assert err.strip().splitlines()[-1] == (
        f"cancel-worker: the host name {system.host} is in use by a worker on another machine "
        "or in another container; give each worker its own CANCEL_HOST_NAME"
    )
    assert await system.run(1) == before
    assert alive(mark)


async def test_runs_of_another_machine_are_not_taken_over_though_its_worker_is_stopped(
    system: System,
) -> None:
    worker = await system.worker(host_heartbeat=BEAT)
    _, mark = await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=600)
    await system.status_becomes(1, "canceling")
    await worker.kill()
    await rebooted(system, system.host)
    await system.database.execute("UPDATE hosts SET machine_id = 'other', left_at = now()")

    code, _, err = await system.cli("worker", "serve")

    assert code == 2
    assert err.strip().splitlines()[-1] == (
        f"cancel-worker: the host {system.host} has runs on another machine: give each machine its "
        "own CANCEL_HOST_NAME or, if the other machine is gone for good, abandon the host first: "
        f"cancel-worker hosts abandon {system.host} --reason …"
    )
    assert (await system.run(1))["status"] == "canceling"
    assert alive(mark)
    await abandon(system, system.host)
    await system.worker()
    assert (await system.outcome_of(command_id))["outcome"] == "abandoned"
    # What another machine runs is out of reach, and no proof is made up for it.
    assert json.loads((await system.run(1))["loss"])["proof"] == "none_host_replaced"
    outcome = await system.outcome_of(await system.publish(1))
    assert (outcome["outcome"], outcome["evidence"]) == ("no_op", {"run_status": "error"})


async def test_a_name_without_runs_may_go_to_another_machine(system: System) -> None:
    worker = await system.worker()
    await worker.stop()
    await rebooted(system, system.host)
    await system.database.execute("UPDATE hosts SET machine_id = 'other'")

    await system.worker()


async def test_a_worker_that_cannot_serve_displaces_no_other(system: System) -> None:
    first = await system.worker(host_heartbeat=BEAT)

    code, _, err = await system.cli(
        "worker", "serve", env={"CANCEL_WORKER_SOCKET": "/proc/nowhere/worker.sock"}
    )

    assert code == 2
    assert "cannot listen on /proc/nowhere/worker.sock" in err.splitlines()[-1]
    await beats(system, system.host)
    assert first.process.returncode is None


async def test_a_machine_that_rebooted_faster_than_three_beats_waits_for_them(
    system: System,
) -> None:
    worker = await system.worker(host_heartbeat=BEAT)
    await worker.kill()
    await rebooted(system, system.host)
    await system.database.execute("UPDATE hosts SET seen_at = clock_timestamp()")

    began = monotonic()
    await system.worker(host_heartbeat=BEAT)

    assert monotonic() - began > 3 * BEAT
    (action,) = (await described(system, system.host))["actions"]
    assert (action["action"], action["run_ids"]) == ("rebooted", [])


async def test_of_two_workers_on_one_machine_the_later_one_stays(system: System) -> None:
    first = await system.worker(host_heartbeat=BEAT)

    second = await system.worker(
        worker_socket=system.directory / "second.sock", host_heartbeat=BEAT
    )

    assert await first.wait() == 2
    assert first.output[-1] == f"cancel-worker: another worker took over the host {system.host}"
    assert second.process.returncode is None
    assert (await described(system, system.host))["state"] == "up"


async def test_a_worker_on_a_socket_in_use_leaves_the_first_one_alone(system: System) -> None:
    first = await system.worker(host_heartbeat=BEAT)

    code, _, err = await system.cli("worker", "serve")

    assert code == 2
    assert "another worker serves there" in err.splitlines()[-1]
    command_id = await system.publish(await _queued(system))
    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    assert first.process.returncode is None


async def test_a_host_is_up_then_silent_or_left(system: System) -> None:
    worker = await system.worker(host_heartbeat=BEAT)
    assert (await described(system, system.host))["state"] == "up"
    await worker.kill()
    await becomes(system, system.host, "silent")

    worker = await system.worker(host_heartbeat=BEAT)
    assert (await described(system, system.host))["state"] == "up"
    assert await worker.stop() == 0
    left = await described(system, system.host)
    assert (left["state"], left["left_at"] is not None) == ("left", True)


async def _queued(system: System) -> int:
    await system.add_run(1)
    return 1
