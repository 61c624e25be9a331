"""The processes of this machine, as /proc tells."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shared.launcher_environment import LAUNCH_VARIABLE


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    words: frozenset[str]
    launch_id: str | None
    start_ticks: str


def all_processes() -> list[Process]:
    """Those that live, so no zombies, and no launchers: they have the job's words among theirs."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                process = _read(Path(entry.path))
                if process is not None and "--run-id" not in process.words:
                    found.append(process)
    return found


def _read(directory: Path) -> Process | None:
    stat = (directory / "stat").read_text().rpartition(")")[2].split()
    words = (directory / "cmdline").read_bytes().split(b"\0")
    environ = (directory / "environ").read_bytes().split(b"\0")
    if stat[0] in "ZX":
        return None
    variables = dict(pair.split(b"=", 1) for pair in environ if b"=" in pair)
    launch_id = variables.get(LAUNCH_VARIABLE.encode())
    return Process(
        int(directory.name),
        frozenset(word.decode(errors="replace") for word in words if word),
        launch_id.decode(errors="replace") if launch_id else None,
        stat[19],
    )


def is_populated(cgroup: Path) -> bool:
    """Whether a process lives in it or below; one that was removed is empty."""
    with suppress(FileNotFoundError, OSError):
        return "populated 1" in (cgroup / "cgroup.events").read_text()
    return False
