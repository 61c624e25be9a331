"""Outlives the process that owns a sandbox, and clears the sandbox away once that process is gone.

Runs as a script in a session of its own, so neither Ctrl-C nor a ``kill -9`` of the owner stops
it. Its stdin is a pipe that only the owner holds open; each line on it is ``PID SIGNAL``, a
process to end with that signal. The end of the pipe means: clean up now. What is left of the
sandbox then, such as a server's helpers, is known by a variable in its environment. Standard
library only.
"""

import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

MARKER = "RUN_CANCEL_SANDBOX"
ORDERLY_SECONDS = 3.0
FORCED_SECONDS = 5.0


def main() -> None:
    """Collect the processes until the pipe ends, then end them and remove the directory."""
    directory = Path(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end_all(_collect())
    end_marked(directory)
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


def end_marked(directory: Path) -> None:
    """Kill what carries the sandbox's marker, again until there is none or 5 s have passed."""
    deadline = time.monotonic() + FORCED_SECONDS
    while (left := _marked(directory)) and time.monotonic() < deadline:
        end_all(dict.fromkeys(left, int(signal.SIGKILL)))
        for pidfd in left:
            os.close(pidfd)


def _marked(directory: Path) -> list[int]:
    """Return pidfds of the processes started in this sandbox, whatever their parent is."""
    marker = f"{MARKER}={directory}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # Opened before looking, so that the process looked at is the one signaled.
            pidfd = os.pidfd_open(int(entry.name))
        except OSError:
            continue
        if marker in _environment(entry):
            found.append(pidfd)
        else:
            os.close(pidfd)
    return found


def _environment(process: Path) -> list[bytes]:
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


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
