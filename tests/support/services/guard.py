"""Outlives the process that owns a sandbox, and clears the sandbox away once that process is gone.

Runs as a script in a session of its own, so neither Ctrl-C nor a ``kill -9`` of the owner stops
it. Its stdin is a pipe that only the owner holds open; each line on it is ``PID SIGNAL``, a
process to end with that signal. The end of the pipe means: clean up now. Standard library only.
"""

import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

ORDERLY_SECONDS = 3.0
FORCED_SECONDS = 5.0


def main() -> None:
    """Collect the processes until the pipe ends, then end them and remove the directory."""
    directory = Path(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end_all(_collect())
    remove(directory)


def _collect() -> dict[int, int]:
    """Read the pipe to its end: a pidfd for each process, with the signal that ends it."""
    processes: dict[int, int] = {}
    for line in sys.stdin:
        pid, number = line.split()
        try:
            # Opened while the owner has not yet reaped it, so a reused pid is never hit.
            processes[os.pidfd_open(int(pid))] = int(number)
        except ProcessLookupError:
            continue
    return processes


def end_all(processes: dict[int, int]) -> None:
    """Signal every process with its own signal, then with SIGKILL after a few seconds."""
    _send(processes)
    left = _wait(processes, ORDERLY_SECONDS)
    _send(dict.fromkeys(left, int(signal.SIGKILL)))
    _wait(left, FORCED_SECONDS)


def _send(processes: dict[int, int]) -> None:
    for pidfd, number in processes.items():
        try:
            signal.pidfd_send_signal(pidfd, number)
        except ProcessLookupError:
            continue


def _wait(processes: dict[int, int], seconds: float) -> dict[int, int]:
    """Wait until every process has ended; return those that have not."""
    deadline = time.monotonic() + seconds
    poller = select.poll()
    left = dict(processes)
    for pidfd in left:
        poller.register(pidfd, select.POLLIN)
    while left and (remaining := deadline - time.monotonic()) > 0:
        for pidfd, _ in poller.poll(remaining * 1000):
            poller.unregister(pidfd)
            del left[pidfd]
    return left


def remove(directory: Path) -> None:
    """Remove the tree; again, as long as a dying helper process still writes into it."""
    deadline = time.monotonic() + FORCED_SECONDS
    while directory.exists() and time.monotonic() < deadline:
        shutil.rmtree(directory, ignore_errors=True)
        if directory.exists():
            time.sleep(0.05)


if __name__ == "__main__":
    main()
