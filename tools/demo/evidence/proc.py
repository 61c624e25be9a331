"""What the kernel says about the job's processes, read without the code under test."""

import os
import subprocess
from pathlib import Path

SECRETS = ("DATABASE_URL", "AMQP_URL")


def start_time(pid: int) -> str | None:
    """With the pid, what names a process: its start in clock ticks (proc(5)). None if dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def identities(pids: list[int]) -> dict[int, str | None]:
    return {pid: start_time(pid) for pid in pids}


def still_there(known: dict[int, str | None]) -> list[int]:
    return [pid for pid, start in known.items() if start_time(pid) == start is not None]


def members(cgroup: str) -> set[int]:
    return {int(pid) for pid in Path(cgroup, "cgroup.procs").read_text().split()}


def user_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Uid:"))


def secrets_in_environment(pid: int, values: tuple[str, ...]) -> list[str]:
    """The names of credentials that the process has in its environment, whatever they go by.

    Read as its own user: root without CAP_SYS_PTRACE may not.
    """
    environment = _environment(user_of(pid), pid).decode(errors="replace")
    names = [name for name in SECRETS if name in environment]
    return names + [f"value {n}" for n, value in enumerate(values) if value in environment]


def can_read_environment(uid: int, pid: int) -> bool:
    """Whether a process of user `uid` can read the environment of `pid`."""
    try:
        return bool(_environment(uid, pid))
    except OSError:
        return False


def _environment(uid: int, pid: int) -> bytes:
    path = f"/proc/{pid}/environ"
    if uid == os.geteuid():
        return Path(path).read_bytes()
    reading = subprocess.run(
        ["/bin/cat", path],
        user=uid,
        group=uid,
        extra_groups=[],
        capture_output=True,
        check=False,
    )
    if reading.returncode:
        raise PermissionError(reading.stderr.decode().strip())
    return reading.stdout
