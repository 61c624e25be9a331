"""What Postgres and RabbitMQ take of this machine, where their processes are on it (/proc)."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from yarl import URL

_PROC: Final = Path("/proc")
_ESTABLISHED, _LISTENING = "01", "0A"  # proc(5) and the kernel's tcp_states.h


@dataclass(frozen=True, slots=True)
class Server:
    """The first process of a server, and the port that it listens on."""

    pid: int
    port: int

    def memory_mb(self) -> float:
        """PSS of all its processes."""
        return sum(_pss_kb(pid) for pid in _tree(self.pid)) / 1024

    def cpu_seconds(self) -> float:
        """The processor time of all its processes, including those that have ended."""
        return sum(_ticks(pid) for pid in _tree(self.pid)) / os.sysconf("SC_CLK_TCK")

    def connections_of(self, pid: int) -> int:
        """How many connections the process `pid` has to it."""
        return len(_sockets_of(pid) & _inodes(_ESTABLISHED, remote=self.port))


def find(url: str, program: str) -> Server | None:
    """The server at `url`, a process called `program`; None if it is not one of this machine.

    Behind the port of a container is another process.
    """
    port = URL(url).port
    if port is None:
        return None
    listening = _inodes(_LISTENING, local=port)
    for pid in _pids():
        with suppress(OSError):
            is_called_so = (_PROC / f"{pid}/comm").read_text().startswith(program)
            if is_called_so and _sockets_of(pid) & listening:
                return Server(pid, port)
    return None


def _inodes(state: str, local: int | None = None, remote: int | None = None) -> set[str]:
    """Sockets in `state` by port, as /proc/net/tcp and tcp6 have them."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            ports = [int(address.rpartition(":")[2], 16) for address in fields[1:3]]
            if fields[3] == state and local in (None, ports[0]) and remote in (None, ports[1]):
                found.add(f"socket:[{fields[9]}]")
    return found


def _sockets_of(pid: int) -> set[str]:
    found = set()
    for link in (_PROC / f"{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.add(str(link.readlink()))
    return found


def _pids() -> Iterator[int]:
    """Parents before the children that have inherited their sockets."""
    return iter(sorted(int(path.name) for path in _PROC.iterdir() if path.name.isdecimal()))


def _tree(pid: int) -> list[int]:
    children = (_PROC / f"{pid}/task").glob("*/children")
    below = [int(child) for path in children for child in path.read_text().split()]
    return [pid, *(each for child in below for each in _tree(child))]


def _pss_kb(pid: int) -> int:
    try:
        lines = (_PROC / f"{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _ticks(pid: int) -> int:
    """Its own and those of its children that have ended (proc(5), fields 14 to 17 of stat)."""
    try:
        fields = (_PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(field) for field in fields[11:15])
