"""One of the processes that serve the port."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog
from prometheus_client.multiprocess import mark_process_dead

log = structlog.get_logger(__name__)

METRICS_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that makes prometheus_client keep counts in files that all processes read."""


class Process:
    """A process of the gateway, until it has ended."""

    def __init__(
        self, number: int, child: asyncio.subprocess.Process, link: socket.socket, metrics: Path
    ) -> None:
        self._number = number
        self._child = child
        self._link = link
        self._metrics = metrics
        self._serves = False

    @classmethod
    async def start(cls, number: int, host: str, port: int, metrics: Path) -> "Process":
        """Start process `number`. The `metrics` of all are in one directory."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            child = await asyncio.create_subprocess_exec(
                # -P: a folder named like one of our packages must not be taken for it.
                *(sys.executable, "-P", "-m", "gateway", "serve", "--host", host),
                *("--port", str(port), "--processes", "1"),
                *("--number", str(number), "--supervisor", str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, METRICS_DIRECTORY: str(metrics)},
                # Ctrl-C is for the supervisor, which stops the processes in order.
                start_new_session=True,
            )
        log.info("gateway_process_started", process=number, pid=child.pid)
        return cls(number, child, ours, metrics)

    async def serves(self) -> bool:
        """Wait until it serves, and return True; False if it ends before."""
        if not self._serves:
            loop = asyncio.get_running_loop()
            with suppress(ConnectionError):
                self._serves = await loop.sock_recv(self._link, 1) != b""
        return self._serves

    async def ended(self) -> int:
        """Wait for its end, and return its exit code; that of a signal is negative."""
        return await self._child.wait()

    def forget(self) -> None:
        """Its counts stay; its open streams are gone. Call after its end."""
        self._link.close()
        mark_process_dead(self._child.pid, str(self._metrics))  # type: ignore[no-untyped-call]  # the library left it without types

    def ask_to_stop(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it, if it has not ended."""
        if self._child.returncode is None:
            log.warning("gateway_process_killed", process=self._number, pid=self._child.pid)
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it has ended
            self._child.send_signal(number)
