"""The options of `cancel-exec`. Standard library only, as it is."""

import argparse
import os
import sys
from contextlib import suppress
from typing import NoReturn

from shared.launcher_environment import SOCKET_VARIABLE, launcher_socket
from worker.launcher import wire
from worker.launcher.job_log import say


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options and the command behind `--`. Exits with one line for what is wrong."""
    parser = argparse.ArgumentParser(
        prog="cancel-exec",
        # A fixed width saves each start 4 ms, the time to query the terminal.
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100),
        usage="cancel-exec --run-id N [OPTION…] -- CMD [ARG…]",
        description="Run CMD as CI run N. Canceling the run stops CMD and everything it started.",
        epilog="Exit code: that of CMD (128 + n if signal n ended it), but 0 only if the run is "
        f"recorded as passed. {wire.EXIT_STOPPED}: CMD exited with 0, but its run was canceled. "
        f"{wire.EXIT_CANCELED}: the run was canceled before it started; CMD did not run. "
        f"{wire.EXIT_LAUNCHER_FAILED}: cancel-exec failed before CMD ran, or CMD exited with 0 but "
        "that could not be recorded. "
        f"{wire.EXIT_CANNOT_RUN}: CMD cannot be executed. {wire.EXIT_NOT_FOUND}: CMD not found.",
    )
    parser.error = _usage_error  # type: ignore[method-assign]  # one line, without the usage text
    parser.add_argument("--run-id", type=_run_id, required=True, metavar="N", help="id of the run")
    parser.add_argument(
        "--socket",
        default=os.environ.get(SOCKET_VARIABLE) or str(launcher_socket()),
        metavar="PATH",
        help=f"socket of the worker (overrides {SOCKET_VARIABLE}; default %(default)s)",
    )
    parser.add_argument(
        "--wait-for-run",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="timeout for the run to be registered (default %(default)g; 0 fails at once)",
    )
    parser.add_argument(
        "--canceled-exit-code",
        type=_exit_code,
        metavar="C",
        help="exit code if the run was canceled after it started "
        f"(default: that of CMD, or {wire.EXIT_STOPPED} if CMD exits with 0)",
    )
    parser.add_argument(
        "--start-timeout",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="timeout for reaching the worker (default %(default)g)",
    )
    parser.add_argument(
        "--report-timeout",
        type=_seconds,
        default=600.0,
        metavar="SECONDS",
        help="timeout for reporting the exit code (default %(default)g)",
    )
    if "--" not in arguments:
        options = parser.parse_args(arguments)  # --help, or an error that should be reported first
        parser.error("put the command after --")
    split = arguments.index("--")
    options = parser.parse_args(arguments[:split])
    options.command = arguments[split + 1 :]
    if not options.command:
        parser.error("no command after --")
    return options


def _run_id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"{text!r} is not a run id (a positive integer)")
    return int(text)


def _exit_code(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 255):
        raise argparse.ArgumentTypeError(f"{text!r} is not an exit code from 1 to 255")
    return int(text)


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if (seconds := float(text)) >= 0:  # which NaN is not
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")


def _usage_error(message: str) -> NoReturn:
    say(f"{message} (see cancel-exec --help)")
    sys.exit(wire.EXIT_USAGE)
