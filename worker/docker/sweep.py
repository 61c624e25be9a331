"""Removes what is left on the engine of runs that are over: containers, networks, cgroups.

A stop ends with the proof; this follows it. It also finds what an engine has started again after
a reboot, and what is left when a worker's own container was replaced.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final, NoReturn
from uuid import UUID

import structlog
from aiodocker import DockerError
from asyncpg import Record

from shared.aio.retry import until_available
from shared.aio.tasks import first_of
from shared.postgres import sql
from shared.postgres.database import Database
from worker.docker.engine.cgroup_parents import is_shared, is_slice
from worker.docker.engine.client import Engine, EngineUnavailable
from worker.processes import cgroup

log = structlog.get_logger(__name__)

_EVERY: Final = 60.0
"""Seconds."""


class Sweep:
    """Of the runs of `host`. What is labeled with another launch is not ours.

    `is_being_stopped` tells whether a stop of a run is in progress.
    """

    def __init__(
        self,
        database: Database,
        host: str,
        engine: Engine,
        is_being_stopped: Callable[[int], bool],
    ) -> None:
        self._database = database
        self._host = host
        self._engine = engine
        self._is_being_stopped = is_being_stopped

    async def run(self, wanted: asyncio.Event, every: float = _EVERY) -> NoReturn:
        """Look at this interval, in seconds, and when `wanted`."""
        while True:
            wanted.clear()
            try:
                await until_available(self._sweep)
            except Exception:
                log.exception("containers_not_swept")
            await first_of(wanted.wait(), asyncio.sleep(every))

    async def _sweep(self) -> None:
        launches = list(_launch_ids(await self._engine.launches()))
        over = await self._database.fetch(sql.containers.LIST_TO_REMOVE, self._host, launches)
        for row in over:
            if self._is_being_stopped(row["run_id"]):
                continue
            try:
                all_removed = await self._remove(row)
            except (DockerError, EngineUnavailable) as error:  # the others' can still be removed
                log.warning("containers_not_removed", run_id=row["run_id"], error=str(error))
                continue
            if all_removed:
                await self._database.fetch(sql.containers.RECORD_REMOVED, row["run_id"])

    async def _remove(self, over: Record) -> bool:
        """Remove what is left of one run; whether that was all."""
        launch_id, parent = over["launch_id"], over["containers_in"]
        all_removed = True
        for each in await self._engine.containers_of(launch_id, parent):
            try:
                if each.state.is_alive:
                    log.warning(
                        "container_swept",
                        run_id=over["run_id"],
                        container=each.name,
                        image=each.image,
                    )
                await self._engine.never_restart(each)
                await self._engine.remove(each.id)
            except (DockerError, EngineUnavailable) as error:
                all_removed = False
                log.warning("container_not_removed", container=each.name, error=str(error))
        await self._engine.remove_networks(launch_id)
        await _remove_cgroups(parent)
        return all_removed


def _launch_ids(labels: Iterable[str]) -> Iterator[UUID]:
    for label in labels:
        with suppress(ValueError):  # somebody else's
            yield UUID(label)


async def _remove_cgroups(parent: str) -> None:
    """Remove what the engine leaves: it removes a container's own cgroup, but not the parent."""
    if is_shared(parent):
        return
    if is_slice(parent):
        with suppress(OSError):  # no systemd here: the engine is elsewhere
            process = await asyncio.create_subprocess_exec("systemctl", "stop", parent)
            await process.wait()
        return
    for mount in cgroup.mount_points():
        path = mount / parent.lstrip("/")
        for each in (path, path.parent):  # the run's own, or what is for all runs
            with suppress(OSError):
                each.rmdir()
