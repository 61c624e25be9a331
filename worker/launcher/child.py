"""The process that becomes the command: it waits at a barrier and is then released.

Standard library only, as `cancel-exec` is.
"""

import os
import signal

from shared.launcher_environment import LAUNCH_VARIABLE, RUN_VARIABLE
from worker.launcher import wire
from worker.launcher.job_log import say

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
# Python ignores these two, and ignored signals stay ignored across exec.
_PYTHON_IGNORES = (signal.SIGPIPE, signal.SIGXFSZ)


def fork_waiting(command: list[str], run_id: int) -> tuple[int, int]:
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
            _exec(command, {LAUNCH_VARIABLE: launch_id, RUN_VARIABLE: str(run_id)})
    finally:
        os._exit(wire.EXIT_LAUNCHER_FAILED)


def _exec(command: list[str], variables: dict[str, str]) -> None:
    for signum in _PYTHON_IGNORES:
        signal.signal(signum, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, {**os.environ, **variables})
    except OSError as error:
        say(f"cannot run {command[0]}: {error.strerror}")
        missing = isinstance(error, FileNotFoundError)
        os._exit(wire.EXIT_NOT_FOUND if missing else wire.EXIT_CANNOT_RUN)


def release(barrier: int, launch_id: str) -> bool:
    """Let the child become the command; False if it was killed at the barrier."""
    try:
        os.write(barrier, launch_id.encode())
    except BrokenPipeError:
        return False
    return True


def has_ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def pass_signals_on(child: int) -> None:
    def pass_on(signum: int, _: object) -> None:
        # To the whole group, as a terminal does. The child is not reaped before this handler is
        # removed, so its pid cannot be reused.
        try:
            os.killpg(child, signum)
        except ProcessLookupError:
            os.kill(child, signum)  # it has not entered its session yet
        except PermissionError:
            pass  # it runs as another user, for example under sudo

    for signum in _PASSED_ON:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, pass_on)


def wait(child: int) -> int:
    """Wait for the command, reap adopted orphans, and return the exit code."""
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        if ended is None or ended.si_pid == child:
            break
        os.waitpid(ended.si_pid, 0)
    for signum in _PASSED_ON:
        # A second Ctrl-C must not prevent the report of the exit code; SIGQUIT still may.
        signal.signal(signum, signal.SIG_DFL if signum == signal.SIGQUIT else signal.SIG_IGN)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code
