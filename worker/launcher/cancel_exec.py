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
from contextlib import suppress
from typing import NoReturn

from shared.socket_path import SOCKET_VARIABLE, launcher_socket
from worker.launcher import wire

# SIGWINCH too: the command has a session of its own, so the terminal tells it nothing.
_PASSED_ON = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)
# Python ignores these two, and what is ignored stays so across exec.
_PYTHON_IGNORES = (signal.SIGPIPE, signal.SIGXFSZ)

# Seconds. Longer than the worker may hold an answer back.
_ANSWER_TIMEOUT = 40.0
_LEAST_ANSWER_TIMEOUT = 1.0
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


class LauncherFailed(Exception):
    """The command was not started, or its result could not be reported."""

    def __init__(self, message: str, exit_code: int = wire.EXIT_LAUNCHER_FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def main() -> NoReturn:
    options = _parse(sys.argv[1:])
    # A launcher that is interrupted before its command runs just dies; the child sees that.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        code = _launch(options)
    except LauncherFailed as error:
        _say(str(error))
        code = error.exit_code
    # Nothing is left to be written or closed, and to take the interpreter apart takes half of the
    # time from a command's end to ours. A thousand may end at once.
    os._exit(code)


def _launch(options: argparse.Namespace) -> int:
    child, barrier = _fork_waiting(options.command, options.run_id)
    try:
        permit = _claim(options, child)
        if permit["containment"] == "session":
            _adopt_orphans()
        _pass_signals_on(child)
        with suppress(BrokenPipeError):  # canceled, and so killed, at the barrier
            os.write(barrier, str(permit["launch_id"]).encode())
    finally:
        # Also what keeps the promise when this process is killed: end of file means never start.
        os.close(barrier)
    code = _wait(child)
    _report(options, code)
    return code


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cancel-exec",
        # A width of its own saves each start the 4 ms that looking for a terminal's takes.
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100),
        usage="cancel-exec --run-id N [--socket PATH] -- CMD [ARG…]",
        description="Run CMD as CI run N, so that canceling the run stops it with all it started.",
        epilog="Exit code: CMD's own (128 + n if signal n ended it); "
        f"{wire.EXIT_CANCELED} the run was canceled before it started; "
        f"{wire.EXIT_LAUNCHER_FAILED} cancel-exec itself failed and CMD was not run; "
        f"{wire.EXIT_CANNOT_RUN} or {wire.EXIT_NOT_FOUND} CMD cannot be run or was not found.",
    )
    parser.error = _usage_error  # type: ignore[method-assign]  # one line, without the usage text
    parser.add_argument("--run-id", type=_run_id, required=True, metavar="N")
    parser.add_argument(
        "--socket",
        default=os.environ.get(SOCKET_VARIABLE) or str(launcher_socket()),
        metavar="PATH",
        help=f"the worker's socket (or {SOCKET_VARIABLE}; default %(default)s)",
    )
    parser.add_argument(
        "--start-timeout",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long to try to reach the worker before giving up (default %(default)g)",
    )
    parser.add_argument(
        "--report-timeout",
        type=_seconds,
        default=600.0,
        metavar="SECONDS",
        help="how long to try to report the exit code (default %(default)g)",
    )
    if "--" not in arguments:
        options = parser.parse_args(arguments)  # --help, or a mistake worth naming first
        parser.error("put the command behind --")
    split = arguments.index("--")
    options = parser.parse_args(arguments[:split])
    options.command = arguments[split + 1 :]
    if not options.command:
        parser.error("no command behind --")
    return options


def _run_id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"{text!r} is not a run id (a whole number from 1)")
    return int(text)


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if (seconds := float(text)) >= 0:  # which NaN is not
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")


def _usage_error(message: str) -> NoReturn:
    _say(f"{message} (see cancel-exec --help)")
    sys.exit(wire.EXIT_USAGE)


def _fork_waiting(command: list[str], run_id: int) -> tuple[int, int]:
    """Fork a child that execs `command` once something is written to the returned descriptor."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child:
        os.close(read_end)
        return child, write_end
    os.close(write_end)
    try:
        os.setsid()
        launch_id = os.read(read_end, 64).decode()
        if launch_id:
            _exec(command, {wire.LAUNCH_VARIABLE: launch_id, wire.RUN_VARIABLE: str(run_id)})
    finally:
        os._exit(wire.EXIT_LAUNCHER_FAILED)


def _exec(command: list[str], variables: dict[str, str]) -> None:
    for signum in _PYTHON_IGNORES:
        signal.signal(signum, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, {**os.environ, **variables})
    except OSError as error:
        _say(f"cannot run {command[0]}: {error.strerror}")
        missing = isinstance(error, FileNotFoundError)
        os._exit(wire.EXIT_NOT_FOUND if missing else wire.EXIT_CANNOT_RUN)


def _claim(options: argparse.Namespace, child: int) -> dict[str, object]:
    """Have the worker contain and register `child`; its permit. Raises LauncherFailed."""
    body: dict[str, object] = {"run_id": options.run_id, "pid": child}
    status, answer = _ask(options.socket, wire.LAUNCHES, body, options.start_timeout)
    if status == 200:
        return answer
    run = f"run {options.run_id}"
    refusals = {
        "canceled": f"{run} was canceled before it started; the command was not run",
        "unknown": f"{run} is unknown; the command was not run",
        "already_started": f"{run} was started already; the command was not run",
        "finished": f"{run} is finished; the command was not run",
    }
    refused = str(answer.get("refused", ""))
    code = wire.EXIT_CANCELED if refused == "canceled" else wire.EXIT_LAUNCHER_FAILED
    raise LauncherFailed(refusals.get(refused, f"the worker refused: {answer.get('error')}"), code)


def _adopt_orphans() -> None:
    """Become the parent of what the command's processes leave behind, so that it can be found."""
    import ctypes  # only here: 1 MB and 5 ms that most launches need not spend

    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise LauncherFailed(f"prctl: {os.strerror(ctypes.get_errno())}; the command was not run")


def _pass_signals_on(child: int) -> None:
    def pass_on(signum: int, _: object) -> None:
        # To the whole group, as a terminal would. The child is not reaped before this handler
        # is taken away, so its number cannot be another's.
        try:
            os.killpg(child, signum)
        except ProcessLookupError:
            os.kill(child, signum)  # it has yet to enter its session
        except PermissionError:
            pass  # it runs as another user: sudo and its like

    for signum in _PASSED_ON:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, pass_on)


def _wait(child: int) -> int:
    """Wait for the command, reap what was adopted meanwhile, and return the exit code to use."""
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        if ended is None or ended.si_pid == child:
            break
        os.waitpid(ended.si_pid, 0)
    for signum in _PASSED_ON:
        # A second Ctrl-C must not keep the exit code from being reported; SIGQUIT still may.
        signal.signal(signum, signal.SIG_DFL if signum == signal.SIGQUIT else signal.SIG_IGN)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code


def _report(options: argparse.Namespace, code: int) -> None:
    """Report the exit code and wait until a stop under way is over."""
    body: dict[str, object] = {"run_id": options.run_id, "exit_code": code}
    pause = _FIRST_PAUSE
    give_up_at = time.monotonic() + options.report_timeout
    while True:
        try:
            status, answer = _ask(options.socket, wire.COMPLETIONS, body, options.report_timeout)
        except LauncherFailed as error:
            _say(f"could not report exit code {code}: {error}")
            return
        if status != 200:
            _say(f"could not report exit code {code}: {answer.get('error')}")
            return
        if not answer.get("stopping") or time.monotonic() > give_up_at:
            return
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _ask(
    socket: str, target: str, body: dict[str, object], timeout: float
) -> tuple[int, dict[str, object]]:
    """Ask until the worker answers with something else than 5xx, for `timeout` seconds."""
    give_up_at = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    announced = False
    while True:
        try:
            left = give_up_at - time.monotonic()
            patience = min(_ANSWER_TIMEOUT, max(left, _LEAST_ANSWER_TIMEOUT))
            status, answer = wire.post(socket, target, body, patience)
            if status < 500:
                return status, answer
            problem = str(answer.get("error"))
        except OSError as error:
            problem = f"no worker at {socket}: {error.strerror or error}"
        left = give_up_at - time.monotonic()
        if left <= 0:
            raise LauncherFailed(problem)
        if not announced:
            _say(f"{problem}; trying again for {timeout:g} s")
            announced = True
        time.sleep(min(pause, left))
        pause = min(pause * 2, _LONGEST_PAUSE)


def _say(message: str) -> None:
    # Whoever read stderr may be gone, or it was never open: that must not cost an exit code.
    if sys.stderr is not None:
        with suppress(OSError):
            os.write(
                sys.stderr.fileno(), f"cancel-exec: {message}\n".encode(errors="backslashreplace")
            )
