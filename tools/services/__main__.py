"""``python -m tools.services -- CMD…``: run CMD with DATABASE_URL and AMQP_URL set.

With ``--in-memory`` private servers keep their data in memory where there is room. That is for
tests: a new database or queue costs a fraction, and a killed server loses nothing by it.
"""

import os
import signal
import sys
from collections.abc import Sequence

from tools.errors import ToolError
from tools.services.in_memory import use_memory
from tools.services.ladder import provide, say_on_stderr
from tools.services.model import Services

USAGE = "usage: python -m tools.services [--in-memory] -- CMD [ARG…]"
OWN_FAILURE = 2
NOT_FOUND = 127
NOT_RUNNABLE = 126
INTERRUPTED = 128 + signal.SIGINT
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SENT_BY_TERMINAL = 0x80  # si_code SI_KERNEL


def main(arguments: Sequence[str]) -> int:
    """Return the exit code: the command's own, 128 + n for a signal, 2 for no services."""
    if arguments[:1] == ["--in-memory"]:
        use_memory()
        arguments = arguments[1:]
    command = arguments[1:] if arguments[:1] == ["--"] else arguments
    if not command or command[0] in ("-h", "--help"):
        print(USAGE, file=sys.stderr)
        return 0 if command else OWN_FAILURE
    try:
        with provide() as services:
            return _run(command, services)
    except (ToolError, OSError) as error:
        say_on_stderr(str(error))
        return OWN_FAILURE
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(command: Sequence[str], services: Services) -> int:
    """Run the command in the foreground and pass signals on to it until it ends."""
    # Blocked in this process, so that each signal is waited for; the command starts unblocked.
    signal.pthread_sigmask(signal.SIG_BLOCK, {*PASSED_ON, signal.SIGCHLD})
    try:
        pid = os.posix_spawnp(
            command[0],
            list(command),
            _environment(services),
            setsigmask=[],
            # Python ignores these, and the command would inherit that.
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
    except OSError as error:
        say_on_stderr(f"cannot run {command[0]}: {error.strerror}")
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUNNABLE
    while True:
        received = signal.sigwaitinfo({*PASSED_ON, signal.SIGCHLD})
        if received.si_signo != signal.SIGCHLD:
            _pass_on(pid, received)
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _pass_on(pid: int, received: signal.struct_siginfo) -> None:
    """Pass a signal on, unless the terminal has sent it to the command as well (Ctrl-C)."""
    if received.si_code != SENT_BY_TERMINAL:
        os.kill(pid, received.si_signo)


def _environment(services: Services) -> dict[str, str]:
    """Return the command's environment; SERVICES has been obeyed and must not act again."""
    inherited = {name: value for name, value in os.environ.items() if name != "SERVICES"}
    return {
        **inherited,
        "DATABASE_URL": services.database_url,
        "AMQP_URL": services.amqp_url,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
