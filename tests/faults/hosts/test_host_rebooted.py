"""A host comes back with another kernel: what it ran is gone, and that is the proof."""

import json
from uuid import UUID

from tests.support.records.hosts import described, rebooted
from tools.support.processes import alive
from tools.support.system import System
from worker.processes.identity import boot_id

BEAT = 0.5
"""Seconds. After three of them another worker believes that the one before is gone."""


async def test_its_runs_are_recorded_as_gone_with_the_boot_as_evidence(system: System) -> None:
    worker = await system.worker(host_heartbeat=BEAT)
    marks = [(await system.launch_bad_child(run_id, "ignores_term"))[1] for run_id in (1, 2, 3)]
    command_id = await system.publish(2, grace_seconds=600)
    await system.status_becomes(2, "canceling")
    await worker.kill()
    other = await rebooted(system, system.host)
    await system.program("worker", "serve", CANCEL_HOST_HEARTBEAT=str(BEAT))

    running = await system.status_becomes(1, "error")
    assert running["error"] == "the host was rebooted while the run was running"
    loss = json.loads(running["loss"])
    assert (loss["cause"], loss["proof"]) == ("host_rebooted", "host_rebooted")
    assert (UUID(loss["ran_in_boot"]), UUID(loss["booted_as"])) == (other, boot_id())
    await system.status_becomes(2, "canceled")
    stopped = await system.outcome_of(command_id)
    assert (stopped["outcome"], stopped["evidence"]["proof"]) == ("canceled", "host_rebooted")
    (action,) = (await described(system, system.host))["actions"]
    assert (action["action"], action["run_ids"]) == ("rebooted", [1, 2, 3])
    # Pids of another boot name nobody of this one.
    assert all(alive(mark) for mark in marks)


async def test_a_cancel_that_waited_for_the_host_finds_the_run_lost(system: System) -> None:
    worker = await system.worker(host_heartbeat=BEAT)
    await system.launch_bad_child(1, "sleeps")
    await worker.kill()
    command_id = await system.publish(1)
    await rebooted(system, system.host)

    await system.worker(host_heartbeat=BEAT)

    outcome = await system.outcome_of(command_id)
    assert (outcome["outcome"], outcome["evidence"]) == ("no_op", {"run_status": "error"})


async def test_a_failed_stop_is_over_once_the_host_was_rebooted(system: System) -> None:
    worker = await system.worker(host_heartbeat=BEAT)
    _, mark = await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=600)
    await system.status_becomes(1, "canceling")
    await worker.kill()
    await system.database.execute(
        "UPDATE cancellations SET outcome = 'stop_failed', finished_at = now()"
    )
    await rebooted(system, system.host)

    await system.worker(host_heartbeat=BEAT)

    await system.status_becomes(1, "canceled")
    outcome = await system.outcome_of(command_id)
    assert (outcome["outcome"], outcome["evidence"]["proof"]) == ("canceled", "host_rebooted")
    assert alive(mark)
