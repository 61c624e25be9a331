"""`cancel-exec`: claims a run, then starts its command and reports the exit code.

It holds no credentials and no service URLs: the command is untrusted code of the same user, which
can read everything in this process. Standard library only, with few imports: a host may run a
thousand launchers.
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
from worker.launcher.child import fork_waiting, has_ended, pass_signals_on, release, wait
from worker.launcher.job_log import say
from worker.launcher.options import parse

# Seconds. Longer than the worker holds back a response.
_ANSWER_TIMEOUT = 40.0
_LEAST_ANSWER_TIMEOUT = 1.0
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
# Pauses between attempts while the run is not registered yet.
_FIRST_RUN_PAUSE = 0.1
_LONGEST_RUN_PAUSE = 1.0


class LauncherFailed(RunCancelError):
    """The command was not started, or its result could not be reported."""

    def __init__(self, message: str, exit_code: int = wire.EXIT_LAUNCHER_FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ChildKilled(LauncherFailed):
    """A worker killed the waiting child, and ended before it could report why."""


def main() -> NoReturn:
    options = parse(sys.argv[1:])
    # A launcher that is interrupted before its command runs just dies; the child notices.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        code = _launch(options)
    except LauncherFailed as error:
        say(str(error))
        code = error.exit_code
    # Nothing is left to flush or close, and interpreter shutdown takes half of the time from the
    # end of the command to ours. A thousand launchers may end at once.
    os._exit(code)


def _launch(options: argparse.Namespace) -> int:
    child, may_run = _start(options)
    return _report(options, wait(child), may_run=may_run)


def _start(options: argparse.Namespace) -> tuple[int, bool]:
    """Start the child; its pid, and whether it was released. Raises LauncherFailed."""
    waits = _waits_for_run(options)
    was_killed = False
    while True:
        child, barrier = fork_waiting(options.command, options.run_id)
        try:
            if permit := _claim(options, child):
                _guard(permit["containment"])
                pass_signals_on(child)
                return child, release(
                    barrier, str(permit["launch_id"]), permit.get("docker_socket")
                )
        except ChildKilled:
            if was_killed:
                raise
            was_killed = True
        else:
            was_killed = False
        finally:
            # The kernel also does this if the launcher is killed: at end of file, the child exits
            # instead of starting the command.
            os.close(barrier)
        # The worker kills a child that it refuses, so each attempt needs a new one. This one is
        # reaped before the pause, so that a terminated launcher leaves none behind.
        os.waitpid(child, 0)
        if not was_killed:
            next(waits)


def _waits_for_run(options: argparse.Namespace) -> Iterator[None]:
    """Pauses until the run is registered. Raises LauncherFailed at the timeout."""
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
    """Let the worker contain and register `child`; its permit, or None if the run is unknown.

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
            raise LauncherFailed(f"run {run_id} has already finished; the command was not run")
        case _:
            raise LauncherFailed(f"the worker refused the launch: {answer.get('error')}")


def _guard(containment: object) -> None:
    """Prevent the command from escaping its containment. Raises LauncherFailed."""
    # Imported here: ctypes takes 1 MB and 5 ms, which a refused launch should not spend.
    from worker.launcher import prctl

    try:
        prctl.deny_tracing()
        if containment == "session":
            prctl.adopt_orphans()
    except OSError as error:
        raise LauncherFailed(f"prctl: {error.strerror}; the command was not run") from None


def _report(options: argparse.Namespace, code: int, *, may_run: bool) -> int:
    """Report the command's exit code; our own exit code, which is 0 only if the run is `pass`.

    `may_run` is False if the command cannot have run.
    """
    run_id = options.run_id
    try:
        answer = _complete(options, code)
    except LauncherFailed as error:
        instead = f", exiting with {error.exit_code}" if code == 0 else ""
        say(f"could not report exit code {code}{instead}: {error}")
        return code or error.exit_code
    if told := job_log.left_behind(answer):
        say(told)
    status = answer.get("status")
    if status in ("canceling", "canceled"):
        if not may_run:
            say(job_log.canceled_before_start(run_id, answer))
            return wire.EXIT_CANCELED
        say(job_log.canceled(run_id, answer))
        return options.canceled_exit_code or code or wire.EXIT_STOPPED
    if code == 0 and status != "pass":
        say(
            f"the command exited with 0, but run {run_id} is recorded as {status}; exiting with 125"
        )
        return wire.EXIT_LAUNCHER_FAILED
    return code


def _complete(options: argparse.Namespace, code: int) -> dict[str, object]:
    """The worker's response, once a stop in progress is over. Raises LauncherFailed.

    A stop of the run, or of what its command has left behind.
    """
    body: dict[str, object] = {"run_id": options.run_id, "exit_code": code}
    pauses = _growing(_FIRST_PAUSE, 2, _LONGEST_PAUSE)
    give_up_at = time.monotonic() + options.report_timeout
    known: dict[str, object] | None = None
    while known is None or (known.get("stopping") and time.monotonic() < give_up_at):
        try:
            status, answer = _ask(options.socket, wire.COMPLETIONS, body, options.report_timeout)
        except LauncherFailed:
            if known is None or known.get("status") == "running":
                raise
            return known  # it is being canceled, even if a service is now unavailable
        if status != 200:
            raise LauncherFailed(str(answer.get("error")))
        known = answer
        if known.get("stopping"):
            time.sleep(next(pauses))
    return known


def _ask(
    socket: str, target: str, body: dict[str, object], timeout: float, child: int | None = None
) -> tuple[int, dict[str, object]]:
    """Repeat a request for `timeout` seconds, until the response is not a 5xx.

    Raises LauncherFailed, or ChildKilled if `child` is dead before a retry.
    """
    give_up_at = time.monotonic() + timeout
    pauses = _growing(_FIRST_PAUSE, 2, _LONGEST_PAUSE)
    announced = False
    while True:
        try:
            left = give_up_at - time.monotonic()
            longest = min(_ANSWER_TIMEOUT, max(left, _LEAST_ANSWER_TIMEOUT))
            status, answer = wire.post(socket, target, body, longest)
            if status < 500:
                return status, answer
            problem = str(answer.get("error"))
        except OSError as error:
            problem = f"no response from a worker at {socket}: {error.strerror or error}"
        left = give_up_at - time.monotonic()
        if left <= 0:
            raise LauncherFailed(problem)
        if not announced:
            say(f"{problem}; retrying for up to {timeout:g} s")
            announced = True
        time.sleep(min(next(pauses), left))
        if child is not None and has_ended(child):
            raise ChildKilled(f"{problem}; the command was not run")


def _growing(first: float, factor: float, longest: float) -> Iterator[float]:
    """Pauses in seconds: each is `factor` times the last one, up to `longest`."""
    seconds = first
    while True:
        yield seconds
        seconds = min(seconds * factor, longest)
