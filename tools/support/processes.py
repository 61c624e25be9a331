"""Looking for processes independently of the code under test."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from shared.states import Proof
from worker.processes import cgroup

BAD_CHILD = Path(__file__).with_name("bad_child.py")

KILLED_BY = {"cgroup": ["SIGKILL"], "session": ["SIGSTOP", "SIGKILL"]}
"""What a kill sends, by containment: without a cgroup, nothing else keeps a tree from forking."""
PROVED_BY = {"cgroup": Proof.CGROUP_EMPTY, "session": Proof.SCANS_EMPTY}
"""What the end of a started run is proved by, by containment."""


def alive(mark: str) -> list[int]:
    """The pids of all live processes that have `mark` as a word of their command line.

    A process lives as long as any thread of it, the first one or another.
    """
    # The launcher has the command, and so the mark, among its own arguments.
    return [
        pid
        for pid in (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit())
        if any(mark.encode() in words and b"--run-id" not in words for words in _words_of_live(pid))
    ]


_MOST_LOOKS = 1000


def _words_of_live(pid: int) -> Iterator[list[bytes]]:
    """The command line, as each thread that lives tells it.

    Looked at again while threads end as we look: those that come after them may live.
    """
    for _ in range(_MOST_LOOKS):
        try:
            threads = list(Path(f"/proc/{pid}/task").iterdir())
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return
        have_ended = False
        for thread in threads:
            try:
                state = (thread / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX":
                    yield (thread / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                have_ended = True
            except PermissionError:
                return
        if not have_ended:
            return


async def until_gone(mark: str, deadline: float = 10.0) -> None:
    """Return once no process is marked; TimeoutError after `deadline` seconds."""
    end = monotonic() + deadline
    while left := alive(mark):
        if monotonic() > end:
            raise TimeoutError(f"still alive: {left}")
        await asyncio.sleep(0.01)


async def until_stopped(mark: str, deadline: float = 10.0) -> None:
    """Return once every marked process is stopped; TimeoutError after `deadline` seconds."""
    end = monotonic() + deadline
    while (states := {state_of(pid) for pid in alive(mark)}) != {"T"}:
        if monotonic() > end:
            raise TimeoutError(f"in states {states}, not stopped")
        await asyncio.sleep(0.005)


def state_of(pid: int) -> str:
    """The process's state as ps(1) writes it; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def why_no_cgroups() -> str | None:
    """Why this user on this machine can have no cgroups, or None."""
    try:
        cgroup.sweep(cgroup.runs_root(f"probe-{os.getpid()}"))
    except cgroup.CgroupUnavailable as error:
        return str(error)
    return None
