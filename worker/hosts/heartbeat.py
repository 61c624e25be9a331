"""One worker speaks for a host: registered at start, heard of with each beat."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

import structlog

from shared.aio.retry import until_available
from shared.errors import ServiceUnavailable, UserError
from shared.postgres.database import Database
from worker.hosts import store as host_store
from worker.hosts.store import HeartbeatAnswer, HostWorker, OtherMachine, RunsOutsideContainer
from worker.processes.identity import boot_id, machine_id, pid_namespace

log = structlog.get_logger(__name__)


class HostRegistration:
    """Keeps this worker known as the one of its host. `beat_seconds` lie between two beats."""

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

    async def register(self) -> None:
        """Begin to speak for the host. Raises UserError if another machine or container does.

        That takes up to three beats after a reboot or a new container that was faster than they
        are: until then nobody can tell it from a second one.
        """
        heard_before: datetime | None = None
        while True:
            heard = await until_available(self._try_to_register)
            if heard is None:
                break
            if heard_before is not None and heard > heard_before:
                raise UserError(
                    f"the host name {self._worker.host} is in use by a worker on another machine "
                    "or in another container; give each worker its own CANCEL_HOST_NAME"
                )
            if heard_before is None:
                log.warning("host_name_in_use", host=self._worker.host, waiting="for its silence")
            heard_before = heard
            await asyncio.sleep(self._worker.beat_seconds)
        await self._beat()

    async def keep_up(
        self,
        on_heartbeat: Callable[[HeartbeatAnswer], None],
        on_return: Callable[[], Awaitable[None]],
    ) -> None:
        """Beat for ever. Calls `on_heartbeat` with what each beat is answered.

        Calls `on_return` when the host had been abandoned meanwhile. Raises UserError once another
        worker speaks for the host.
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
        """Say that the worker ends, if Postgres can be told."""
        try:
            await host_store.leave(self._database, self._worker)
        except ServiceUnavailable as error:
            log.warning("leave_unrecorded", error=str(error))

    async def _try_to_register(self) -> datetime | None:
        try:
            return await host_store.register(self._database, self._worker)
        except OtherMachine:
            raise UserError(
                f"the host {self._worker.host} has runs on another machine: give each machine its "
                "own CANCEL_HOST_NAME, or, if the other one is gone for good, abandon it first: "
                f"cancel-worker hosts abandon {self._worker.host}"
            ) from None
        except RunsOutsideContainer as error:
            raise UserError(
                f"the host {self._worker.host} has runs outside this container, which cannot "
                f"be seen from here ({error}): start its worker outside until they end, or "
                "give this worker its own CANCEL_HOST_NAME, or abandon the host: "
                f"cancel-worker hosts abandon {self._worker.host}"
            ) from None

    async def _beat(self) -> HeartbeatAnswer | None:
        """The answer, None if there was none."""
        try:
            answer = await host_store.beat(self._database, self._worker)
        except ServiceUnavailable as error:
            log.warning("beat_missed", error=str(error))
            return None
        if not (answer.is_current or answer.abandoned):
            raise UserError(f"another worker took over the host {self._worker.host}")
        return answer
