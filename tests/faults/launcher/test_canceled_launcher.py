"""The launcher of a run that is being canceled outlives its tree, whichever process is killed."""

from contextlib import suppress

from tests.support.launcher.launching import is_live
from tools.support.processes import until_gone
from tools.support.system import System
from tools.support.waiting import eventually


async def test_canceled_the_launcher_outlives_the_tree(system: System) -> None:
    await system.worker()
    # The leader obeys; what it leaves has to be killed when the grace period is over.
    launched, mark = await system.launch_bad_child(1, "leaves_children")

    await system.publish(1, grace_seconds=1)

    assert await launched.exit_code() == 143
    await until_gone(mark, deadline=0)
    run = await system.run(1)
    assert (run["status"], run["exit_code"]) == ("canceled", 143)


async def test_the_exit_code_of_a_run_being_canceled_changes_no_status(system: System) -> None:
    await system.worker()
    launched, _ = await system.launch_bad_child(1, "leaves_children")
    await system.publish(1, grace_seconds=600)
    run = await eventually(lambda: system.run(1), lambda run: run["exit_code"] is not None)

    assert (run["status"], run["exit_code"]) == ("canceling", 143)
    assert launched.process.returncode is None

    await system.publish(1, force=True)
    assert await launched.exit_code() == 143
    run = await system.run(1)
    assert (run["status"], run["exit_code"]) == ("canceled", 143)


async def test_worker_killed_in_the_grace_period_the_launcher_still_outlives_the_tree(
    system: System,
) -> None:
    worker = await system.worker()
    launched, mark = await system.launch_bad_child(1, "leaves_children")
    command_id = await system.publish(1, grace_seconds=3)
    run = await system.status_becomes(1, "canceling")
    await eventually(lambda: not is_live(run["pid"]))

    await worker.kill()
    next_worker = await system.worker()
    await next_worker.event("command_taken_up", run_id=1)
    with suppress(TimeoutError):
        await launched.exit_code(deadline=0.5)
        raise AssertionError("exited before the stop was recorded")

    assert await launched.exit_code() == 143
    await until_gone(mark, deadline=0)
    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    assert (await system.run(1))["status"] == "canceled"
