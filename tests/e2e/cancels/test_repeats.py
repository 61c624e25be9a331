"""The same command more than once, and several commands for one run: one stop."""

import asyncio

from tools.support.processes import KILLED_BY, until_gone
from tools.support.system import System


async def test_duplicates_during_the_stop_make_one_stop(system: System) -> None:
    worker = await system.worker()
    _, mark = await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=1)
    await system.status_becomes(1, "canceling")

    async with asyncio.TaskGroup() as tasks:
        for _ in range(10):
            tasks.create_task(system.publish(1, command_id=command_id))
    await worker.event("command_open", command_id=command_id, count=11)
    await system.outcome_of(command_id)

    [only] = await system.cancellations(1)
    assert only["outcome"] == "canceled"
    assert [sent["signal"] for sent in only["evidence"]["signals"]] == [
        "SIGTERM",
        "SIGCONT",
        *KILLED_BY[only["evidence"]["containment"]],
    ]
    await until_gone(mark, deadline=0)


async def test_a_duplicate_after_the_stop_changes_nothing(system: System) -> None:
    worker = await system.worker()
    launcher, _ = await system.launch_bad_child(1, "obeys")
    command_id = await system.publish(1)
    await system.outcome_of(command_id)
    await launcher.exit_code()  # noted with the run
    before = await system.cancellations(1), await system.run(1)

    await system.publish(1, command_id=command_id)
    await worker.event("command_settled", command_id=command_id, count=2)

    assert (await system.cancellations(1), await system.run(1)) == before


async def test_a_second_command_during_the_stop_is_a_no_op(system: System) -> None:
    await system.worker()
    _, mark = await system.launch_bad_child(1, "ignores_term")
    first = await system.publish(1, grace_seconds=1)
    await system.status_becomes(1, "canceling")
    deadline = (await system.run(1))["stop_deadline"]

    second = await system.outcome_of(await system.publish(1, grace_seconds=300))

    assert second["outcome"] == "no_op"
    assert second["evidence"] == {"stop_in_progress": True}
    assert (await system.run(1))["stop_deadline"] == deadline
    assert (await system.outcome_of(first))["outcome"] == "canceled"
    await until_gone(mark, deadline=0)


async def test_a_force_without_a_grace_period_to_end_is_a_no_op(system: System) -> None:
    await system.worker()
    _, mark = await system.launch_bad_child(1, "ignores_term")
    first = await system.publish(1, force=True)
    await system.outcome_of(first)

    second = await system.outcome_of(await system.publish(1, force=True))

    assert (second["outcome"], second["evidence"]) == ("no_op", {"run_status": "canceled"})
    assert (await system.run(1))["first_stop_deadline"] is None
    await until_gone(mark, deadline=0)


async def test_queued_runs_canceled_by_many_commands_are_canceled_once(system: System) -> None:
    await system.worker()
    await system.add_run(1)

    ids = [await system.publish(1) for _ in range(20)]
    outcomes = [(await system.outcome_of(command_id))["outcome"] for command_id in ids]

    assert sorted(outcomes) == ["canceled"] + ["no_op"] * 19
    assert (await system.run(1))["status"] == "canceled"


async def test_a_command_for_another_host_reaches_it_when_its_worker_is_back(
    system: System,
) -> None:
    other = await system.worker("other-host")
    here = await system.worker()
    launched, mark = await system.launch_bad_child(
        1, "ignores_term", socket=system.socket("other-host")
    )
    await other.kill()

    command_id = await system.publish(1, grace_seconds=0.3)
    # This worker could see the processes, but on a real second host it could not.
    await here.event("command_open", command_id=command_id, waits_for="other-host")
    assert (await system.run(1))["status"] == "running"
    await system.worker("other-host")

    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    await until_gone(mark, deadline=0)
    assert await launched.exit_code() == 137
