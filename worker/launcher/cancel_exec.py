"""`cancel-exec`: start a run's command only once the run is claimed for it, report how it ended.

It holds no credentials and knows no service: the command it runs is untrusted code of the same
user, which can read all that this process has. Standard library only, few imports: a host may run
a thousand of these.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

from shared.errors import RunCancelError
from worker.launcher import job_log, wire
from worker.launcher.child import fork_waiting, has_ended, let_go, pass_signals_on, wait
from worker.launcher.job_log import say
from worker.launcher.options import parse

# Seconds. Longer than the worker may hold an answer back.
_ANSWER_TIMEOUT = 40.0
_LEAST_ANSWER_TIMEOUT = 1.0
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
# Between two looks for a run that is not registered yet.
_FIRST_RUN_PAUSE = 0.1
_LONGEST_RUN_PAUSE = 1.0


class LauncherFailed(RunCancelError):
    """The command was not started, or its result could not be reported."""

    def __init__(self, message: str, exit_code: int = wire.EXIT_LAUNCHER_FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ChildKilled(LauncherFailed):
    """A worker ended the waiting child and was gone before it could say why."""


def main() -> NoReturn:
    options = parse(sys.argv[1:])
    # A launcher that is interrupted before its command runs just dies; the child sees that.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        code = _launch(options)
    except LauncherFailed as error:
        say(str(error))
        code = error.exit_code
    # Nothing is left to be written or closed, and to take the interpreter apart takes half of the
    # time from a command's end to ours. A thousand may end at once.
    os._exit(code)


def _launch(options: argparse.Namespace) -> int:
    child, may_run = _start(options)
    return _report(options, wait(child), may_run=may_run)


def _start(options: argparse.Namespace) -> tuple[int, bool]:
    """The pid of the claimed child, and whether it was let go. Raises LauncherFailed."""
    waits = _waits_for_run(options)
    was_killed = False
    while True:
        child, barrier = fork_waiting(options.command, options.run_id)
        try:
            if permit := _claim(options, child):
                _guard(permit["containment"])
                pass_signals_on(child)
                return child, let_go(barrier, str(permit["launch_id"]))
        except ChildKilled:
            if was_killed:
                raise
            was_killed = True
        else:
            was_killed = False
        finally:
            # Also what keeps the promise when this process is killed: end of file means never
            # start.
            os.close(barrier)
        # The worker ends the child that it refuses, so each attempt has one of its own. This one
        # is gone before the pause: a launcher that is told to end leaves none behind.
        os.waitpid(child, 0)
        if not was_killed:
            next(waits)


def _waits_for_run(options: argparse.Namespace) -> Iterator[None]:
    """Wait for the run to be registered, a pause at a time. Raises LauncherFailed in the end."""
    run, longest = f"run {options.run_id}", options.wait_for_run
    if not longest:
        raise LauncherFailed(f"{run} is unknown; the command was not run")
    say(f"{run} is not registered yet; waiting up to {longest:g} s")
    give_up_at = time.monotonic() + longest
    pauses = _growing(_FIRST_RUN_PAUSE, 1.5, _LONGEST_RUN_PAUSE)
    while (left := give_up_at - time.monotonic()) > 0:
        time.sleep(min(next(pauses), left))
        yield
    raise LauncherFailed(
        f"{run} is still not registered after {longest:g} s; the command was not run"
    )


def _claim(options: argparse.Namespace, child: int) -> dict[str, object] | None:
    """Have the worker contain and register `child`; its permit, None while the run is unknown.

    Raises LauncherFailed.
    """
    run_id = options.run_id
    body: dict[str, object] = {"run_id": run_id, "pid": child}
    status, answer = _ask(options.socket, wire.LAUNCHES, body, options.start_timeout, child)
    if status == 200:
        return answer
    match answer.get("refused"):
        case "unknown":
            return None
        case "canceled":
            raise LauncherFailed(job_log.refused_as_canceled(run_id, answer), wire.EXIT_CANCELED)
        case "already_started":
            raise LauncherFailed(f"run {run_id} was already started; the command was not run")
        case "finished":
            raise LauncherFailed(f"run {run_id} is finished; the command was not run")
        case _:
            raise LauncherFailed(f"the worker refused: {answer.get('error')}")


def _guard(containment: object) -> None:
    """See to it that the command cannot get around what holds it. Raises LauncherFailed."""
    # Only now: ctypes takes 1 MB and 5 ms, which a refused launch need not spend.
    from worker.launcher import prctl

    try:
        prctl.deny_tracing()
        if containment == "session":
            prctl.adopt_orphans()
    except OSError as error:
        raise LauncherFailed(f"prctl: {error.strerror}; the command was not run") from None


def _report(options: argparse.Namespace, code: int, *, may_run: bool) -> int:
    """Report the command's exit code; the one to exit with, 0 only for what is on record as pass.

    `may_run` is False for a command that cannot have run.
    """
    run_id = options.run_id
    try:
        answer = _complete(options, code)
    except LauncherFailed as error:
        instead = f", so the exit code is {error.exit_code}" if code == 0 else ""
        say(f"could not report exit code {code}{instead}: {error}")
        return code or error.exit_code
    status = answer.get("status")
    if status in ("canceling", "canceled"):
        if not may_run:
            say(job_log.canceled_before_start(run_id, answer))
            return wire.EXIT_CANCELED
        say(job_log.canceled(run_id, answer))
        return options.canceled_exit_code or code or wire.EXIT_STOPPED
    if code == 0 and status != "pass":
        say(f"the command ended with 0, but run {run_id} is recorded as {status}: exit code 125")
        return wire.EXIT_LAUNCHER_FAILED
    return code


def _complete(options: argparse.Namespace, code: int) -> dict[str, object]:
    """The worker's answer, once a stop under way is over. Raises LauncherFailed."""
    body: dict[str, object] = {"run_id": options.run_id, "exit_code": code}
    pauses = _growing(_FIRST_PAUSE, 2, _LONGEST_PAUSE)
    give_up_at = time.monotonic() + options.report_timeout
    known: dict[str, object] | None = None
    while known is None or (known.get("stopping") and time.monotonic() < give_up_at):
        try:
            status, answer = _ask(options.socket, wire.COMPLETIONS, body, options.report_timeout)
        except LauncherFailed:
            if known is None:
                raise
            return known  # it is being canceled, whoever is away since
        if status != 200:
            raise LauncherFailed(str(answer.get("error")))
        known = answer
        if known.get("stopping"):
            time.sleep(next(pauses))
    return known


def _ask(
    socket: str, target: str, body: dict[str, object], timeout: float, child: int | None = None
) -> tuple[int, dict[str, object]]:
    """Ask until the worker answers with something else than 5xx, for `timeout` seconds.

    Raises LauncherFailed, ChildKilled when it would have to ask again for a `child` that is dead.
    """
    give_up_at = time.monotonic() + timeout
    pauses = _growing(_FIRST_PAUSE, 2, _LONGEST_PAUSE)
    announced = False
    while True:
        try:
            left = give_up_at - time.monotonic()
            timeout = min(_ANSWER_TIMEOUT, max(left, _LEAST_ANSWER_TIMEOUT))
            status, answer = wire.post(socket, target, body, timeout)
            if status < 500:
                return status, answer
            problem = str(answer.get("error"))
        except OSError as error:
            problem = f"no worker at {socket}: {error.strerror or error}"
        left = give_up_at - time.monotonic()
        if left <= 0:
            raise LauncherFailed(problem)
        if not announced:
            say(f"{problem}; trying again for {timeout:g} s")
            announced = True
        time.sleep(min(next(pauses), left))
        if child is not None and has_ended(child):
            raise ChildKilled(f"{problem}; the command was not run")


def _growing(first: float, factor: float, longest: float) -> Iterator[float]:
    """Seconds to pause, again and again: each time `factor` times as many, up to `longest`."""
    seconds = first
    while True:
        yield seconds
        seconds = min(seconds * factor, longest)
