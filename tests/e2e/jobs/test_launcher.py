"""`cancel-exec` as a CI runner sees it: exit codes, signals, what the command gets."""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress

from shared.launcher_environment import LAUNCH_VARIABLE
from tests.support.launcher.job_user import runner_environment
from tests.support.launcher.launching import marking, starts
from tools.support.launched import CANCEL_EXEC
from tools.support.system import System

# The job's view: how it was started, and what it can see of others. Bytes as latin-1.
LOOKS = """
import json, os, signal, sys
def is_open(fd):  # not the one by which we look
    return os.path.exists(f"/proc/self/fd/{fd}")
print(json.dumps({
    "arguments": [os.fsencode(a).decode("latin-1") for a in sys.argv[1:]],
    "environment": {k: v for k, v in os.environ.items()},
    "ignored": [s for s in range(1, 32) if signal.getsignal(s) is signal.SIG_IGN],
    "blocked": [int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
    "fds": [fd for fd in map(int, os.listdir("/proc/self/fd")) if is_open(fd)],
    "session": os.getsid(0) == os.getpid(),
}), flush=True)
"""


async def test_the_exit_code_is_passed_on_and_recorded(system: System) -> None:
    await system.worker()
    plain = system.directory / "plain-file"
    plain.write_text("not executable")
    commands: dict[int, tuple[tuple[str, ...], int]] = {
        1: (("true",), 0),
        2: (("sh", "-c", "exit 1"), 1),
        3: (("sh", "-c", "exit 255"), 255),
        4: (("sh", "-c", "kill -9 $$"), 137),
        5: (("sh", "-c", "kill -TERM $$"), 143),
        6: (("no-such-command-anywhere",), 127),
        7: ((str(system.directory / "none"),), 127),
        8: ((str(plain),), 126),
        9: ((str(system.directory),), 126),
    }
    for run_id in commands:
        await system.add_run(run_id)

    launched = {
        run_id: await system.launch(run_id, *command) for run_id, (command, _) in commands.items()
    }

    for run_id, (command, expected) in commands.items():
        assert await launched[run_id].exit_code() == expected, command
        errors = (await launched[run_id].errors()).splitlines()
        if expected in (126, 127):
            (line,) = errors
            assert line.startswith("cancel-exec: cannot run ") and command[0] in line
        else:
            assert errors == []
        run = await system.run(run_id)
        assert run["exit_code"] == expected
        assert run["status"] == ("fail" if expected else "pass")


async def test_what_may_not_start_is_refused_with_its_own_exit_code(system: System) -> None:
    worker = await system.worker()
    marks = system.directory / "marks"
    for run_id in (1, 2):
        await system.add_run(run_id)
    command_id = await system.publish(1)
    await system.outcome_of(command_id)
    assert await (await system.launch(2, "true")).exit_code() == 0
    sleeping, _ = await system.launch_bad_child(4, "sleeps")

    for run_id, code, why in [
        (1, 123, "canceled before it started"),
        (2, 125, "has already finished"),
        (4, 125, "already started"),
        (99, 125, "is unknown"),
    ]:
        refused = await system.launch(run_id, *marking(marks), options=("--wait-for-run", "0"))
        assert await refused.exit_code() == code
        (line,) = (await refused.errors()).splitlines()
        assert line.startswith("cancel-exec: ") and why in line

    assert starts(marks) == []
    assert (await system.run(1))["status"] == "canceled"
    assert (await system.run(2))["status"] == "pass"
    assert (await system.run(4))["status"] == "running"
    sleeping.process.terminate()
    assert await sleeping.exit_code() == 143
    assert worker.process.returncode is None


async def test_signals_to_the_launcher_reach_the_command(system: System) -> None:
    await system.worker()
    await system.add_run(1)
    passed_on = ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH"]
    traps = "".join(f"trap 'echo {name}' {name}; " for name in passed_on)
    # A child of the shell's: like a terminal, the launcher signals the whole group.
    script = traps + "echo ready; while :; do sleep 600 & wait; done"
    launched = await system.launch(1, "sh", "-c", script)
    await launched.ready()

    group = (await system.run(1))["pid"]
    try:
        for name in passed_on:
            launched.process.send_signal(signal.Signals[f"SIG{name}"])
            assert await launched.line(deadline=5) == name

        os.killpg(group, signal.SIGKILL)
        assert await launched.exit_code() == 137
    finally:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


async def test_the_command_gets_all_that_it_would_get_without_the_launcher(
    system: System,
) -> None:
    await system.worker()
    await system.add_run(1)
    arguments = [b"--", b"--x", b"", b"a b", "é€😀".encode(), b"\xff\xfe", b"--run-id", b"'\"$\n"]
    read_end, write_end = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(CANCEL_EXEC, "--run-id", "1", "--socket", system.socket(), "--"),
        *(sys.executable, "-S", "-c", LOOKS),
        *arguments,
        env={**runner_environment(), "OF_THE_RUNNER": "a b"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        pass_fds=(write_end,),
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    os.close(read_end)
    os.close(write_end)

    seen = json.loads(out)
    assert [a.encode("latin-1") for a in seen["arguments"]] == arguments
    assert sorted(seen["fds"]) == [0, 1, 2, write_end]
    assert seen["session"]
    assert seen["blocked"] == []
    # Python itself ignores these two at its start, so that LOOKS cannot tell: see the next test.
    assert set(seen["ignored"]) <= {signal.SIGPIPE, signal.SIGXFSZ}
    run = await system.run(1)
    assert seen["environment"]["CANCEL_RUN_ID"] == "1"
    assert seen["environment"][LAUNCH_VARIABLE] == str(run["launch_id"])
    assert seen["environment"]["OF_THE_RUNNER"] == "a b"


async def test_signals_are_as_the_runner_had_them(system: System) -> None:
    await system.worker()
    for run_id in (1, 2):
        await system.add_run(run_id)
    # As the kernel has it, without an interpreter that changes it: SigIgn of grep itself.
    command = ("grep", "SigIgn", "/proc/self/status")
    plain = await system.launch(1, *command)
    nohup = await asyncio.create_subprocess_exec(
        *("nohup", CANCEL_EXEC, "--run-id", "2", "--socket", system.socket(), "--", *command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await nohup.communicate()

    # Below 32: the two above are the C library's own, and some spawners leave them ignored.
    regular = 2**31 - 1
    assert int((await plain.line()).split()[1], 16) & regular == 0
    assert int(out.split()[1], 16) & regular == 1 << (signal.SIGHUP - 1)


async def test_input_and_output_pass_through(system: System) -> None:
    await system.worker()
    await system.add_run(1)
    process = await asyncio.create_subprocess_exec(
        *(CANCEL_EXEC, "--run-id", "1", "--socket", system.socket(), "--"),
        *("sh", "-c", "cat; echo wrong >&2"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    data = os.urandom(300_000)
    async with asyncio.timeout(30):
        assert await process.communicate(data) == (data, b"wrong\n")
    assert process.returncode == 0


async def test_of_twenty_launchers_for_one_run_one_starts_the_command(system: System) -> None:
    await system.worker()
    await system.add_run(1)
    marks = system.directory / "marks"

    launched = [await system.launch(1, *marking(marks)) for _ in range(20)]
    codes = [await each.exit_code() for each in launched]

    run = await system.run(1)
    assert sorted(codes) == [0] + [125] * 19
    assert starts(marks) == [(run["pid"], str(run["launch_id"]))]
    assert run["launcher_pid"] == launched[codes.index(0)].process.pid
    assert run["status"] == "pass"
