"""Registers a worker as the one of its host, and records its heartbeats."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import structlog

from shared.aio.retry import until_available
from shared.errors import ServiceUnavailable, UserError
from shared.postgres.database import Database
from worker.hosts import host_worker
from worker.hosts.host_worker import (
    HeartbeatAnswer,
    HostWorker,
    OtherMachine,
    Registered,
    RunsOutsideContainer,
)
from worker.processes.identity import boot_id, machine_id, pid_namespace

log = structlog.get_logger(__name__)


class HostRegistration:
    """Keeps this worker registered. `beat_seconds` is the interval between heartbeats."""

    def __init__(
        self, database: Database, host: str, beat_seconds: float, privileges: Mapping[str, Any]
    ) -> None:
        self._database = database
        self._worker = HostWorker(
            host=host,
            worker_id=uuid4(),
            boot_id=boot_id(),
            machine_id=machine_id(),
            pid_namespace=pid_namespace(),
            privileges=privileges,
            beat_seconds=beat_seconds,
        )
        self._replaced: UUID | None = None

    async def register(self) -> None:
        """Register as the worker of the host. Raises UserError if another one is active.

        After a quick reboot or container restart, this can take up to three heartbeats: until then,
        the earlier worker cannot be told from an active one.
        """
        heard_before: datetime | None = None
        while True:
            registered = await until_available(self._try_to_register)
            heard = registered.heard
            if heard is None:
                self._replaced = registered.replaced
                break
            if heard_before is not None and heard > heard_before:
                raise UserError(
                    f"the host name {self._worker.host} is in use by a worker on another machine "
                    "or in another container; give each worker its own CANCEL_HOST_NAME"
                )
            if heard_before is None:
                log.warning(
                    "host_name_in_use",
                    host=self._worker.host,
                    waiting="for its heartbeats to stop",
                )
            heard_before = heard
            await asyncio.sleep(self._worker.beat_seconds)
        await self._beat()

    async def keep_up(
        self,
        on_heartbeat: Callable[[HeartbeatAnswer], None],
        on_return: Callable[[], Awaitable[None]],
    ) -> None:
        """Send heartbeats forever, and call `on_heartbeat` with each answer.

        Calls `on_return` if the host was abandoned meanwhile. Raises UserError once another worker
        has taken over the host.
        """
        while True:
            await asyncio.sleep(self._worker.beat_seconds)
            answer = await self._beat()
            if answer is None:
                continue
            on_heartbeat(answer)
            if answer.abandoned:
                log.warning("host_returned", host=self._worker.host)
                await self.register()
                await on_return()

    async def leave(self) -> None:
        """Record that the worker ends, if Postgres is available."""
        try:
            await host_worker.leave(self._database, self._worker)
        except ServiceUnavailable as error:
            log.warning("departure_not_recorded", error=str(error))

    async def _try_to_register(self) -> Registered:
        try:
            return await host_worker.register(self._database, self._worker)
        except OtherMachine:
            raise UserError(
                f"the host {self._worker.host} has runs on another machine: give each machine its "
                "own CANCEL_HOST_NAME or, if the other machine is gone for good, abandon the host "
                f"first: cancel-worker hosts abandon {self._worker.host} --reason …"
            ) from None
        except RunsOutsideContainer as error:
            raise UserError(
                f"the host {self._worker.host} has runs outside this container, and their "
                f"processes cannot be seen from here ({error}): start its worker outside until "
                "they end, or give this worker its own CANCEL_HOST_NAME, or abandon the host: "
                f"cancel-worker hosts abandon {self._worker.host} --reason …"
            ) from None

    async def _beat(self) -> HeartbeatAnswer | None:
        """The answer; None during an outage."""
        try:
            answer = await host_worker.beat(self._database, self._worker)
        except ServiceUnavailable as error:
            log.warning("beat_missed", error=str(error))
            return None
        if answer.is_current or answer.abandoned:
            return answer
        if answer.worker_id is None or answer.worker_id != self._replaced:
            raise UserError(f"another worker took over the host {self._worker.host}")
        # The worker before this one: a failover of Postgres undid that it was replaced.
        log.warning("host_registered_again", host=self._worker.host)
        await self.register()
        return None
