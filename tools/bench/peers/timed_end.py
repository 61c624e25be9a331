"""What the peers that stop a job have in common: its pids in a file, and the time to its end."""

import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, perf_counter, sleep

_WAIT = 20.0  # seconds


def write_pids(place: Path, *pids: int) -> None:
    """Tell the other side which processes a job has."""
    written = place.with_suffix(".part")
    written.write_text(" ".join(map(str, pids)))
    written.rename(place)


def pids_of(place: Path) -> list[int]:
    """The processes of a job, once it has started. Raises TimeoutError."""
    end = monotonic() + _WAIT
    while not place.exists():
        if monotonic() > end:
            raise TimeoutError("the job was not started")
        sleep(0.005)
    return [int(pid) for pid in place.read_text().split()]


def ms_until_gone(pid: int, ask: Callable[[], object], settle: float) -> float:
    """Milliseconds from `ask()` to the end of a process; raises TimeoutError.

    `settle` is the rest before it, in seconds.
    """
    fd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        sleep(settle)
        began = perf_counter()
        ask()
        if not poll.poll(_WAIT * 1000):
            raise TimeoutError("the job's process did not end")
        return (perf_counter() - began) * 1000
    finally:
        os.close(fd)


@contextmanager
def running(command: Sequence[str], directory: Path | None = None) -> Iterator[None]:
    """Run a program for the length of the block, also if SIGTERM ends it."""
    signal.signal(signal.SIGTERM, _end)
    process = subprocess.Popen(
        command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_WAIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
