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

_MOST_TOLD = 4096
# Docker's clients prefer these to DOCKER_HOST, or use them with it.
_DOCKER_OTHERWISE = ("DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


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
        launch_id, _, docker_socket = os.read(read_end, _MOST_TOLD).decode().partition("\n")
        if launch_id:
            variables = {LAUNCH_VARIABLE: launch_id, RUN_VARIABLE: str(run_id)}
            _exec(command, variables | _docker(docker_socket))
    finally:
        os._exit(wire.EXIT_LAUNCHER_FAILED)


def _docker(socket: str) -> dict[str, str]:
    """The variables that lead Docker clients to `socket`; none if it is empty."""
    if not socket:
        return {}
    for name in _DOCKER_OTHERWISE:
        os.environ.pop(name, None)
    return {"DOCKER_HOST": f"unix://{socket}"}


def _exec(command: list[str], variables: dict[str, str]) -> None:
    for signum in _PYTHON_IGNORES:
        signal.signal(signum, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, {**os.environ, **variables})
    except OSError as error:
        say(f"cannot run {command[0]}: {error.strerror}")
        missing = isinstance(error, FileNotFoundError)
        os._exit(wire.EXIT_NOT_FOUND if missing else wire.EXIT_CANNOT_RUN)


def release(barrier: int, launch_id: str, docker_socket: object = None) -> bool:
    """Let the child become the command; False if it was killed at the barrier.

    `docker_socket`: the path of the socket by which it reaches the Docker engine, if any.
    """
    try:
        os.write(barrier, f"{launch_id}\n{docker_socket or ''}".encode())
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
