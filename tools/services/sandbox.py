"""One temporary directory and the processes started in it, gone together whatever happens."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.services.guard import MARKER, end_marked, remove
from tools.services.ports import PortReservation

CLOSE_SECONDS = 15.0
_GUARD = Path(__file__).with_name("guard.py")
DIRECTORY = "SERVICES_DIRECTORY"
"""Environment variable: where sandboxes are made. Without it, among all temporary files."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user and group that a server runs as when the caller is root."""

    uid: int
    gid: int


class Sandbox:
    """Owns a temporary directory, reserved ports and the server processes.

    Use it as a context manager. A guard process does the cleaning up, also when this process is
    killed: see guard.py.
    """

    def __init__(self) -> None:
        self.path = Path(
            tempfile.mkdtemp(prefix="run-cancel-services-", dir=os.environ.get(DIRECTORY))
        )
        # Servers that run as another user must be able to pass through; they cannot list it.
        self.path.chmod(0o711)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ports: list[PortReservation] = []
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARD), str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def reserve_port(self) -> int:
        """Return a free port on 127.0.0.1 that stays reserved until the sandbox closes."""
        reservation = PortReservation()
        self._ports.append(reservation)
        return reservation.port

    def spawn(
        self,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str],
        end_signal: signal.Signals = signal.SIGKILL,
        account: Account | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a server in a session of its own, its output appended to ``log``.

        ``end_signal`` is what ends it quickly when the sandbox is closed; its data goes away
        with it, so nothing has to be saved.
        """
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**env, MARKER: str(self.path)},
                cwd=self.path,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        self._processes.append(process)
        pipe = self._guard.stdin
        assert pipe is not None
        pipe.write(f"{process.pid} {int(end_signal)}\n".encode())
        pipe.flush()
        return process

    def close(self) -> None:
        """End every process, remove the directory, give the ports back. May be called twice."""
        with suppress(OSError):
            assert self._guard.stdin is not None
            self._guard.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._guard.wait(CLOSE_SECONDS)
        self._clean_up_without_guard()
        for reservation in self._ports:
            reservation.release()

    def _clean_up_without_guard(self) -> None:
        """Reap what the guard ended, and do its work if something killed it."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        end_marked(self.path)
        remove(self.path)


def clean_environment(**settings: str) -> dict[str, str]:
    """Return a minimal environment for a server: nothing of the caller's can change it."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C", "LC_ALL": "C", **settings}


def log_tail(log: Path, lines: int = 20) -> str:
    """Return the last lines of a log, indented, or a note that there are none."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace").rstrip()
    except FileNotFoundError:
        text = ""
    shown = text.splitlines()[-lines:] or ["(its log is empty)"]
    return "\n".join(f"    {line}" for line in shown)
