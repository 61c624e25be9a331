"""What is marked, told by the kernel: processes of jobs, in containers or not.

No engine is asked: one that is gone, frozen or wrong about its containers changes nothing here.
"""

import asyncio
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from time import monotonic
from typing import Final

VARIABLE: Final = "TEST_MARK"
"""In the environment of what runs in containers, which what is executed in them inherits."""


def alive(mark: str, containers: Collection[str] = ()) -> list[int]:
    """The pids of all live processes that have `mark` in their command line or environment.

    With them those in a cgroup of one of `containers` (ids), as images may set neither.
    """
    return sorted(
        pid
        for pid in (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit())
        if _is_marked(pid, mark.encode(), [name.encode() for name in containers])
    )


def alive_in_containers(mark: str, containers: Collection[str] = ()) -> list[int]:
    """Those of them that have a pid namespace of their own."""
    own = Path("/proc/self/ns/pid").readlink()
    return [pid for pid in alive(mark, containers) if _namespace(pid) not in (own, None)]


async def until_gone(mark: str, containers: Collection[str] = (), deadline: float = 10.0) -> None:
    """Return once no process is marked; TimeoutError after `deadline` seconds."""
    end = monotonic() + deadline
    while left := alive(mark, containers):
        if monotonic() > end:
            raise TimeoutError(f"still alive: {[describe(pid) for pid in left]}")
        await asyncio.sleep(0.01)


def describe(pid: int) -> str:
    """The process for a message of a test."""
    words = _read(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
    return f"{pid} ({words[:80]})"


def _is_marked(pid: int, mark: bytes, containers: Collection[bytes]) -> bool:
    for place in _live_threads(pid):
        words = _read(f"{place}/cmdline")
        # The launcher has the command, and so the mark, among its own arguments.
        if b"--run-id" in words.split(b"\0"):
            return False
        if mark in words or mark in _read(f"{place}/environ"):
            return True
        groups = _read(f"{place}/cgroup") if containers else b""
        if any(name in groups for name in containers):
            return True
    return False


def _live_threads(pid: int) -> Iterator[str]:
    """A process lives as long as any thread of it, the first one or another."""
    try:
        threads = [entry.path for entry in os.scandir(f"/proc/{pid}/task")]
    except OSError:
        return
    for place in threads:
        state = _read(f"{place}/stat").rpartition(b")")[2].split()[:1]
        if state and state[0] not in (b"Z", b"X"):
            yield place


def _namespace(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/ns/pid").readlink()
    except OSError:
        return None


def _read(name: str) -> bytes:
    """Empty if there is no such process, or none that we may look into."""
    try:
        return Path(name).read_bytes()
    except OSError:
        return b""
