"""Runs a command and ends all that it leaves, whatever session that is in.

`python -I -S keeper.py SECONDS CMD…`. It adopts the orphans of the command. It ends the command
and all descendants after SECONDS, or at the end of its stdin, which only its owner holds open: so
nothing lives on if the owner is killed. Exits with the code of the command, 128 + n if a signal
ended it, 124 if it was too late. Standard library only.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

TOO_LATE = 124
ORDERLY_SECONDS = 3.0
PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_DFL)  # ignored ones would be ignored by the tests, too
    seconds, command = float(sys.argv[1]), sys.argv[2:]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    ended = os.pidfd_open(process.pid)
    readable, _, _ = select.select([ended, sys.stdin], [], [], seconds)
    code = process.wait() if ended in readable else TOO_LATE
    if ended not in readable:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(ORDERLY_SECONDS)
    end_descendants()
    return code if code >= 0 else 128 - code


def end_descendants() -> None:
    """Again until there are none: what is forked meanwhile is adopted, too."""
    while left := descendants(os.getpid()):
        for pid in left:
            kill(pid)
        time.sleep(0.01)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def kill(pid: int) -> None:
    """Kill a descendant. Its parent may have reaped it, and the pid may be another process's."""
    with suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        if pid in descendants(os.getpid()):  # and so the one that was opened
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        os.close(fd)


def descendants(pid: int) -> list[int]:
    """Children of all threads, and theirs."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *descendants(child)]
    return found


if __name__ == "__main__":
    sys.exit(main())
