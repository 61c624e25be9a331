"""What a command left behind, while workers and launchers are killed or nothing can be killed."""

import os
import signal
from datetime import datetime
from uuid import uuid4

import pytest

from tests.support.launcher.leaving import launch_leaving
from tests.support.stops.freezer import frozen, why_no_freezer
from tools.support.processes import PROVED_BY, alive, until_gone
from tools.support.records import Json
from tools.support.system import System
from tools.support.waiting import eventually

CONTAINMENTS = pytest.mark.parametrize("containment", ["cgroup", "session"])


async def _ended(system: System) -> Json:
    """What is on record of run 1 once its leftovers have ended."""
    await system.status_becomes(1, "pass", "fail")
    return await system.left_behind(1)


async def _kept(system: System, kind: str) -> str:
    """Run 1 has passed and left a bad child of this kind, which it keeps; the mark."""
    await system.add_run(1, leftovers="keep")
    launched, mark = await launch_leaving(system, 1, kind)
    assert await launched.exit_code() == 0
    return mark


@CONTAINMENTS
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
async def test_the_next_worker_continues_with_the_same_deadline(
    system: System, containment: str, signum: signal.Signals
) -> None:
    worker = await system.worker(containment=containment, leftovers_grace_seconds=3)
    await system.add_run(1)
    launched, mark = await launch_leaving(system, 1, "ignores_term", exit_code=3)
    before = await system.left_behind(1)

    await worker.stop(signum)
    await system.worker(containment=containment, leftovers_grace_seconds=60)

    assert await launched.exit_code() == 3
    assert alive(mark) == []
    left = await _ended(system)
    assert {name: left[name] for name in before} == before
    assert (left["ended"], left["proof"]) == ("killed", PROVED_BY[containment])
    killed_at = next(sent["at"] for sent in left["signals"] if sent["signal"] == "SIGKILL")
    assert datetime.fromisoformat(killed_at) >= datetime.fromisoformat(before["deadline"])


@CONTAINMENTS
async def test_what_was_found_stays_on_record_if_the_worker_dies_before_the_end(
    system: System, containment: str
) -> None:
    worker = await system.worker(containment=containment, leftovers_grace_seconds=60)
    await system.add_run(1)
    launched, mark = await launch_leaving(system, 1, "ignores_term")
    await system.left_behind(1)
    worker.freeze()  # the end of the process is not seen, let alone recorded
    (pid,) = alive(mark)
    os.kill(pid, signal.SIGKILL)
    await until_gone(mark)
    await worker.kill()

    await system.worker(containment=containment)

    assert await launched.exit_code() == 0
    left = await _ended(system)
    assert (left["number"], left["ended"]) == (1, "already_gone")
    # An empty cgroup is removed; without it, /proc is looked through.
    assert left["proof"] in PROVED_BY.values()


async def test_without_its_launcher_the_run_is_lost_and_nothing_is_left(system: System) -> None:
    await system.worker(leftovers_grace_seconds=60)
    await system.add_run(1)
    launched, mark = await launch_leaving(system, 1, "ignores_term")
    await system.left_behind(1)

    launched.kill()

    await system.status_becomes(1, "error")
    await until_gone(mark)


@pytest.mark.skipif(why_no_freezer() is not None, reason=str(why_no_freezer()))
@CONTAINMENTS
async def test_what_cannot_be_killed_is_on_record_and_left_to_a_cancel(
    system: System, containment: str
) -> None:
    await system.worker(containment=containment, leftovers_grace_seconds=1.5, kill_wait=0.5)
    await system.add_run(1)
    launched, mark = await launch_leaving(system, 1, "ignores_term")
    await system.left_behind(1)
    with frozen(mark):
        assert await launched.exit_code() == 0
        left = await _ended(system)
        assert (left["ended"], left["proof"]) == ("survived", None)
        assert [survivor["pid"] for survivor in left["survivors"]] == alive(mark)
        assert "1 process behind that could not all be stopped" in await launched.errors()

    outcome = await system.outcome_of(await system.publish(1))

    assert outcome["outcome"] in ("leftovers_stopped", "no_op")  # SIGKILL may be pending
    assert alive(mark) == []
    assert (await system.left_behind(1))["proof"] == PROVED_BY[containment]


@CONTAINMENTS
async def test_kept_processes_that_end_by_themselves_are_noticed(
    system: System, containment: str
) -> None:
    worker = await system.worker(containment=containment)
    mark = await _kept(system, "sleeps")
    (pid,) = alive(mark)
    await worker.stop()
    os.kill(pid, signal.SIGKILL)
    await until_gone(mark)

    worker = await system.worker(containment=containment)

    await worker.event("left_behind_gone", run_id=1)
    left = await system.left_behind(1)
    assert (left["kept"], left["ended"]) == (True, "already_gone")
    assert left["proof"] in PROVED_BY.values()
    outcome = await system.outcome_of(await system.publish(1))
    assert (outcome["outcome"], outcome["evidence"]) == ("no_op", {"run_status": "pass"})


@CONTAINMENTS
async def test_the_grace_period_of_kept_processes_is_one_deadline(
    system: System, containment: str
) -> None:
    worker = await system.worker(containment=containment)
    mark = await _kept(system, "ignores_term")
    command_id = await system.publish(1, grace_seconds=3)
    before = await eventually(
        lambda: system.left_behind(1), lambda left: left.get("deadline"), what="the deadline"
    )
    await worker.kill()

    await system.worker(containment=containment)

    outcome = await system.outcome_of(command_id)
    assert (outcome["outcome"], outcome["evidence"]["ended"]) == ("leftovers_stopped", "killed")
    assert alive(mark) == []
    after = await system.left_behind(1)
    assert after["deadline"] == before["deadline"]
    killed_at = next(sent["at"] for sent in after["signals"] if sent["signal"] == "SIGKILL")
    assert datetime.fromisoformat(killed_at) >= datetime.fromisoformat(before["deadline"])


@pytest.mark.parametrize("decided", ["here", "by the worker of another host"])
async def test_a_force_ends_the_grace_period_of_kept_processes(
    system: System, decided: str
) -> None:
    await system.worker(grace_seconds=60, host_heartbeat=0.2)
    mark = await _kept(system, "ignores_term")
    command_id = await system.publish(1)
    await eventually(
        lambda: system.left_behind(1), lambda left: left.get("deadline"), what="the deadline"
    )

    if decided == "here":
        forced = await system.publish(1, force=True)
    else:
        forced = str(uuid4())
        await system.database.execute(
            "INSERT INTO cancellations (command_id, run_id, via, force)"
            " VALUES ($1::text::uuid, 1, 'rest', true)",
            forced,
        )

    assert (await system.outcome_of(forced))["outcome"] == "forced"
    assert (await system.outcome_of(command_id))["outcome"] == "leftovers_stopped"
    assert alive(mark) == []


async def test_what_is_kept_on_a_rebooted_host_is_gone(system: System) -> None:
    worker = await system.worker()
    await _kept(system, "sleeps")
    await worker.stop()
    await system.database.execute("UPDATE runs SET boot_id = gen_random_uuid()")

    await system.worker()

    assert (await system.left_behind(1))["proof"] == "host_rebooted"
    outcome = await system.outcome_of(await system.publish(1))
    assert (outcome["outcome"], outcome["evidence"]) == ("no_op", {"run_status": "pass"})


async def test_a_command_on_what_an_abandoned_host_keeps_is_closed(system: System) -> None:
    worker = await system.worker()
    mark = await _kept(system, "sleeps")
    await worker.stop()
    await system.worker(host=f"{system.host}-2")
    command_id = await system.publish(1)
    await eventually(lambda: system.cancellations(1), what="the open command")

    code, _, errors = await system.cli(
        "worker", "hosts", "abandon", system.host, "--reason", "burnt down"
    )

    assert code == 0, errors
    assert (await system.outcome_of(command_id))["outcome"] == "abandoned"
    assert len(alive(mark)) == 1
