"""Starts the processes, starts those again that end, and stops them one after the other."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import structlog

from gateway.processes.port import shared_port
from gateway.processes.process import Process
from gateway.settings import GatewaySettings
from shared.aio.tasks import first_of
from shared.lifecycle import stop_requested

log = structlog.get_logger(__name__)

# Seconds.
_STABLE: Final = 5.0
"""A process that served for this time was stable."""
_PAUSES: Final = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Before a process is started again: the first if it was stable, then the next ones."""
_KILL_AFTER: Final = 15.0
"""After the requests in flight: a process needs some time to disconnect from its services."""
_FAILED: Final = 1


async def supervise(settings: GatewaySettings) -> int:
    """Keep `gateway_processes` processes serving until SIGTERM or SIGINT. Returns the exit code.

    If the first one ends before it serves, so does the gateway, with its exit code. Raises
    UserError if the port is in use.
    """
    with (
        shared_port(settings.gateway_host, settings.gateway_port) as port,
        TemporaryDirectory(prefix="cancel-gateway-") as metrics,
    ):
        return await _Supervision(settings, port, Path(metrics)).run()


class _Supervision:
    def __init__(self, settings: GatewaySettings, port: int, metrics: Path) -> None:
        self._settings = settings
        self._port = port
        self._metrics = metrics
        self._running: dict[int, Process] = {}

    async def run(self) -> int:
        stop = stop_requested()
        first = await self._start(1)
        serving = asyncio.create_task(first.serves())
        await first_of(serving, stop.wait())
        if not serving.cancelled() and not serving.result():
            code = await first.ended()
            return code if code >= 0 else _FAILED
        others = range(2, self._settings.gateway_processes + 1)
        async with asyncio.TaskGroup() as tasks:
            keepers = [
                tasks.create_task(self._keep_running(1, first)),
                *(tasks.create_task(self._keep_running(number)) for number in others),
            ]
            await stop.wait()
            stop.clear()
            for keeper in keepers:
                keeper.cancel()
            await asyncio.wait(keepers)
            at_second_signal = tasks.create_task(self._stop_all_at(stop))
            await self._stop_in_turn()
            at_second_signal.cancel()
        log.info("gateway_stopped")
        return 0

    async def _start(self, number: int) -> Process:
        host = self._settings.gateway_host
        process = await Process.start(number, host, self._port, self._metrics)
        self._running[number] = process
        return process

    async def _keep_running(self, number: int, process: Process | None = None) -> None:
        """Start process `number` whenever there is none; now, there is `process`."""
        ended = 0
        while True:
            served = 0.0
            try:
                process = process or await self._start(number)
            except OSError as error:  # no descriptors or no memory: the others go on
                reason = f"not started: {error.strerror}"
            else:
                served, code = await _end_of(process)
                reason = f"exit code {code}" if code >= 0 else f"signal {-code}"
                del self._running[number]
                process.forget()
                process = None
            ended = 0 if served > _STABLE else ended + 1
            pause = _PAUSES[min(ended, len(_PAUSES) - 1)]
            log.warning(
                "gateway_process_ended", process=number, reason=reason, restart_seconds=pause
            )
            await asyncio.sleep(pause)

    async def _stop_in_turn(self) -> None:
        """Stop one process after the other, so that the others serve meanwhile.

        All at once if they drain first: to a proxy, none of them may look ready.
        """
        processes = list(self._running.values())
        timeout = self._settings.gateway_shutdown_timeout
        drain = self._settings.gateway_drain_duration
        turn = 0 if drain else timeout / self._settings.gateway_processes
        for process in processes:
            process.ask_to_stop()
            await _ended([process], within=turn)
        await _ended(processes, within=drain + timeout + _KILL_AFTER)
        for process in processes:
            process.kill()
        await _ended(processes)

    async def _stop_all_at(self, signaled: asyncio.Event) -> None:
        while True:
            await signaled.wait()
            signaled.clear()
            for process in self._running.values():
                process.ask_to_stop()


async def _end_of(process: Process) -> tuple[float, int]:
    """Wait for its end. Returns for how many seconds it served, and its exit code."""
    loop = asyncio.get_running_loop()
    serves = await process.serves()
    began = loop.time()
    code = await process.ended()
    return loop.time() - began if serves else 0.0, code


async def _ended(processes: Sequence[Process], within: float | None = None) -> None:
    """Wait for their ends, at most `within` seconds."""
    waits = [asyncio.create_task(process.ended()) for process in processes]
    if waits:
        _, pending = await asyncio.wait(waits, timeout=within)
        for wait in pending:
            wait.cancel()
