"""A run that was canceled never looks like a success, and the job's log says who canceled it."""

import asyncio
import fcntl
import os
import re
import signal

import pytest

from tests.support.launcher.launching import Launch, blocked_in_database, is_stopped, locked_run
from tests.support.stops.worker_without_kill import WHILE
from tools.support.launched import CANCEL_EXEC, Launched
from tools.support.system import System
from tools.support.waiting import eventually

CONTAINMENTS = ("cgroup", "session")
ENDS_WELL = "trap 'exit 0' TERM; sleep 1000 & echo ready; wait"


async def ready_shell(system: System, run_id: int, script: str, *options: str) -> Launched:
    await system.add_run(run_id)
    launched = await system.launch(run_id, "sh", "-c", script, options=options)
    await launched.ready()
    return launched


async def only_line(launched: Launched) -> str:
    (line,) = (await launched.errors()).splitlines()
    return line.removeprefix("cancel-exec: ")


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_command_that_ends_with_0_when_it_is_canceled_is_no_success(
    system: System, containment: str
) -> None:
    await system.worker(containment=containment)
    launched = await ready_shell(system, 1, ENDS_WELL)

    await system.publish(1, requested_by="alice", reason="superseded by a newer commit")

    assert await launched.exit_code() == 143
    assert re.fullmatch(
        r"run 1 was canceled by alice \(via direct\): superseded by a newer commit; "
        r"it obeyed SIGTERM after \d+ ms",
        await only_line(launched),
    )
    run = await system.run(1)
    assert (run["status"], run["exit_code"]) == ("canceled", 0), "on record is what it did"


async def test_one_exit_code_can_be_had_for_all_canceled_runs_and_for_no_others(
    system: System,
) -> None:
    await system.worker()
    ends = {
        1: ENDS_WELL,
        2: "trap 'exit 5' TERM; sleep 1000 & echo ready; wait",
        3: "echo ready; exec sleep 1000",
        4: "trap '' TERM; echo ready; while :; do sleep 1; done",
    }
    option = ("--canceled-exit-code", "77")
    canceled = [await ready_shell(system, run_id, ends[run_id], *option) for run_id in ends]
    for run_id in ends:
        await system.publish(run_id, grace_seconds=0.3)
    await system.add_run(5)
    await system.outcome_of(await system.publish(5))
    for run_id in (6, 7):
        await system.add_run(run_id)

    assert [await each.exit_code() for each in canceled] == [77] * 4
    others = ((5, "exit 0", 123), (6, "exit 0", 0), (7, "exit 3", 3))
    for run_id, script, code in others:
        launched = await system.launch(run_id, "sh", "-c", script, options=option)
        assert await launched.exit_code() == code


async def test_the_log_says_by_which_path_and_that_it_was_killed(system: System) -> None:
    await system.worker()
    url, token = await system.gateway(), await system.token(subject="bob")
    await system.add_run(1, grace=0.2)
    launched = await system.launch(1, "sh", "-c", "trap '' TERM; echo ready; exec sleep 1000")
    await launched.ready()

    headers = {"Authorization": f"Bearer {token}"}
    async with system.http.post(f"{url}/api/v1/runs/1/cancel", headers=headers) as answer:
        assert answer.status == 202

    assert await launched.exit_code() == 137
    expected = r"run 1 was canceled by bob \(via rest\); it was killed after \d+ ms"
    assert re.fullmatch(expected, await only_line(launched))


async def test_an_unnamed_requester_is_unknown_and_a_repeat_does_not_take_its_place(
    system: System,
) -> None:
    await system.worker()
    launched = await ready_shell(system, 1, "trap '' TERM; echo ready; exec sleep 1000")
    await system.publish(1, grace_seconds=600, reason="the first")
    await system.status_becomes(1, "canceling")

    repeat = await system.publish(1, force=True, requested_by="carol", reason="the second")

    assert await launched.exit_code() == 137
    assert (await system.outcome_of(repeat))["outcome"] != "canceled"
    line = await only_line(launched)
    assert line.startswith("run 1 was canceled by an unknown requester (via direct): the first; ")


async def test_what_others_write_stays_one_line_of_which_a_terminal_obeys_nothing(
    system: System,
) -> None:
    await system.worker()
    told = {"requested_by": "al\x1b]0;x\x07ice", "reason": "a\n::error::b\r\x9b2J\u2028\u202ec é"}
    launched = await ready_shell(system, 1, ENDS_WELL)
    await system.add_run(2)
    for run_id in (1, 2):
        await system.outcome_of(await system.publish(run_id, **told))

    refused = await system.launch(2, "true")

    harmless = r"by al\x1b]0;x\x07ice (via direct): a\n::error::b\r\x9b2J\u2028\u202ec é; "
    assert (await only_line(launched)).startswith(f"run 1 was canceled {harmless}it obeyed")
    assert await only_line(refused) == (
        f"run 2 was canceled before it started, {harmless}the command was not run"
    )


async def test_a_launcher_that_comes_after_the_cancel_of_another_does_not_say_it_never_started(
    system: System,
) -> None:
    await system.worker()
    launched = await ready_shell(system, 1, ENDS_WELL)
    await system.publish(1, requested_by="alice")
    assert await launched.exit_code() == 143

    second = await system.launch(1, "true")

    assert await second.exit_code() == 123
    assert await only_line(second) == (
        "run 1 was already started, and its cancel was requested by alice (via direct); "
        "the command was not run"
    )


async def test_canceled_at_the_barrier_it_is_said_like_one_that_was_refused(
    system: System,
) -> None:
    worker = await system.worker()
    await system.add_run(1)
    async with locked_run(system, 1):
        launch = await Launch.begin(system)
        await blocked_in_database(system)
        launch.stop_launcher()
        await eventually(lambda: is_stopped(launch.launched.process.pid))
    await worker.event("run_claimed")
    await system.publish(1, requested_by="alice", reason="too late")
    await worker.event("run_canceled")

    launch.launched.process.send_signal(signal.SIGCONT)

    assert await launch.launched.exit_code() == 123
    assert await only_line(launch.launched) == (
        "run 1 was canceled before it started, by alice (via direct): too late; "
        "the command was not run"
    )
    await launch.never_ran("canceled")


async def test_a_run_whose_stop_failed_counts_as_canceled_and_is_not_said_to_be_gone(
    system: System,
) -> None:
    file = system.directory / "powerless"
    file.touch()
    await system.worker(
        module="tests.support.stops.worker_without_kill", env={WHILE: str(file)}, kill_wait=0.3
    )
    # Without the launcher's output: asyncio counts it as ended once nobody holds that open.
    # It inherits that SIGTERM is ignored: a trap of its own could come after the signal.
    stays = "trap '' TERM; sleep 1000 >/dev/null 2>&1 &"
    launched = await ready_shell(system, 1, f"{stays} {ENDS_WELL}")
    failed = await system.publish(1, grace_seconds=0.1, requested_by="alice")

    code = await launched.exit_code()

    assert (await system.outcome_of(failed))["outcome"] == "stop_failed"
    file.unlink()
    await system.publish(1)
    await system.status_becomes(1, "canceled")
    assert code == 143
    assert await only_line(launched) == (
        "run 1 is being canceled by alice (via direct); "
        "the stop failed, and processes of the run may still be alive"
    )


async def test_a_full_stderr_that_is_not_read_does_not_keep_it_from_ending(system: System) -> None:
    await system.worker()
    await system.add_run(1)
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    filled = os.write(write_end, b"x" * fcntl.fcntl(write_end, fcntl.F_GETPIPE_SZ))
    os.set_blocking(write_end, True)
    process = await asyncio.create_subprocess_exec(
        *(CANCEL_EXEC, "--run-id", "1", "--socket", system.socket(), "--"),
        *("sh", "-c", ENDS_WELL),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=write_end,
    )
    os.close(write_end)
    assert process.stdout is not None and await process.stdout.readline() == b"ready\n"

    await system.publish(1)

    async with asyncio.timeout(20):
        assert await process.wait() == 143
    assert len(os.read(read_end, 2 * filled)) == filled
    os.close(read_end)
