"""What the worker asks of the Docker engine. Facts are from Docker's Engine API reference."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final
from uuid import UUID

from aiodocker import Docker, DockerError
from aiodocker.containers import DockerContainer
from aiohttp import ClientError, ClientTimeout, UnixConnector

from shared.errors import ServiceUnavailable
from worker.docker.engine.container import Container, shown
from worker.docker.scope import LABEL

_CALL: Final = 10.0
"""Timeout of a call, seconds. An engine that hangs is an engine that is away."""
_AT_A_TIME: Final = 16
"""Calls about the containers of one run. An engine with many at once answers none of them soon."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""As the engine takes them; anything else from a job could lead to another path of the API."""
_NO_CONNECTION: Final = 900
"""The status by which aiodocker says that the engine cannot be reached."""
_BAD_REQUEST: Final = 400
_GONE: Final = 404
_CONFLICT: Final = 409
_SERVER_ERROR: Final = 500


class EngineUnavailable(ServiceUnavailable):
    """The Docker engine does not answer."""


class CgroupDriver(StrEnum):
    """How the engine makes cgroups, and so what a cgroup parent is."""

    CGROUPFS = "cgroupfs"
    SYSTEMD = "systemd"
    NONE = "none"


class Engine:
    """The engine at the Unix socket `path`."""

    def __init__(self, path: Path) -> None:
        # No limit on connections: each wait for a container's end holds one, and a stop must not
        # queue behind these.
        connector = UnixConnector(str(path), limit=0)
        # With a connector of ours, aiodocker takes the host of its URLs from here.
        self._docker = Docker("unix://localhost", connector, timeout=ClientTimeout(total=_CALL))
        self._connector = connector
        self.path = path
        self._calls = asyncio.Semaphore(_AT_A_TIME)

    async def close(self) -> None:
        await self._docker.close()
        await self._connector.close()

    async def driver(self) -> CgroupDriver:
        async with self._answering():
            info = await self._docker.system.info()
        try:
            return CgroupDriver(str(info.get("CgroupDriver")))
        except ValueError:
            return CgroupDriver.NONE

    async def container(self, name: str) -> Container | None:
        """One container, by its name, its id or the beginning of that; None if there is none."""
        name = name.removeprefix("/")
        if not _NAME.fullmatch(name):
            return None
        try:
            async with self._answering():
                return shown(await self._docker.containers.container(name).show())
        except DockerError as error:
            if error.status == _GONE:
                return None
            raise

    async def container_of_exec(self, exec_id: str) -> str | None:
        """The id of the container that an exec belongs to; None if there is none."""
        if not _NAME.fullmatch(exec_id):
            return None
        try:
            async with self._answering():
                found = await self._docker.containers.exec(exec_id).inspect()
        except DockerError as error:
            if error.status == _GONE:
                return None
            raise
        container_id: str = found["ContainerID"]
        return container_id

    async def containers_of(
        self,
        launch_id: UUID,
        cgroup_parent: str,
        known: Mapping[str, Container] = MappingProxyType({}),
    ) -> list[Container]:
        """All containers of a launch, also those that have exited.

        Those `known`, by id, are not looked at again if the list has them in the same state. The
        list may be late.
        """
        async with self._answering():
            listed = await self._list(f"{LABEL}={launch_id}")

        async def look(id_: str, state: str) -> Container | None:
            before = known.get(id_)
            if before is not None and before.state == state:
                return before
            return await self.container(id_)

        found = await asyncio.gather(*(look(each.id, each["State"]) for each in listed))
        # An image that was made of a container has its labels.
        return [each for each in found if each and each.cgroup_parent == cgroup_parent]

    async def labeled(self, launch_id: UUID, name: str) -> str | None:
        """The id of a container of a launch, by its name, its id or the beginning of that."""
        async with self._answering():
            listed = await self._list(f"{LABEL}={launch_id}")
        names = {alias: each.id for each in listed for alias in each["Names"] or ()}
        ids = [each.id for each in listed if name and each.id.startswith(name)]
        return names.get(f"/{name}") or (ids[0] if len(ids) == 1 else None)

    async def launches(self) -> set[str]:
        """The launch ids in the labels of all containers."""
        async with self._answering():
            listed = await self._list(LABEL)
        return {each["Labels"][LABEL] for each in listed}

    async def never_restart(self, container: Container) -> None:
        """Let the engine not start it again.

        The engine changes a container and starts it under one lock. So this also waits for a start
        that an earlier worker asked for.
        """
        # aiodocker has no method for it. Without a version in the path, the engine takes its own;
        # with one that it does not have, a 404 could pass for a container that is gone.
        async with (
            self._answering(container),
            self._docker.session.post(
                f"{self._docker.docker_host}/containers/{container.id}/update",
                json={"RestartPolicy": {"Name": "no"}},
            ) as response,
        ):
            if response.status >= 400:
                raise DockerError(response.status, await response.text())

    async def unpause(self, container: Container) -> None:
        async with self._answering(container):
            await self._docker.containers.container(container.id).unpause()

    async def signal(self, container: Container, signal: str) -> None:
        """Send a signal to its first process."""
        async with self._answering(container):
            await self._docker.containers.container(container.id).kill(signal=signal)

    async def ended(self, container: Container) -> int | None:
        """Return when it does not run; its exit code, or None if that cannot be told."""
        try:
            found = await self._docker.containers.container(container.id).wait(timeout=None)
        except (DockerError, ClientError, TimeoutError, OSError):
            return None
        code: int = found["StatusCode"]
        return code

    async def remove(self, container_id: str) -> None:
        """Remove a container, with its anonymous volumes. One that still runs is killed."""
        try:
            async with self._answering():
                await self._docker.containers.container(container_id).delete(force=True, v=True)
        except DockerError as error:
            # Conflict: it is being removed already.
            if error.status not in (_GONE, _CONFLICT):
                raise

    async def remove_networks(self, launch_id: UUID) -> None:
        """Remove the networks of a launch, except those that others use."""
        async with self._answering():
            networks = await self._docker.networks.list(filters={"label": [f"{LABEL}={launch_id}"]})
            for each in networks:
                with suppress(DockerError):
                    await (await self._docker.networks.get(each["Id"])).delete()

    async def _list(self, label: str) -> Sequence[DockerContainer]:
        filters = json.dumps({"label": [label]})
        found: Sequence[DockerContainer] = await self._docker.containers.list(
            all="true", filters=filters
        )
        return found

    @asynccontextmanager
    async def _answering(self, container: Container | None = None) -> AsyncIterator[None]:
        """Raise EngineUnavailable if the engine does not answer.

        What it cannot do to `container` because that is gone or does not run, is done.
        """
        try:
            async with self._calls, asyncio.timeout(_CALL):
                yield
        except DockerError as error:
            if error.status == _BAD_REQUEST and "client version" in error.message:
                # Another version of the engine runs by now: ask it anew which API it has.
                self._docker.api_version = "auto"
                raise self._unavailable(error.message) from None
            # What it cannot do to one container leaves the others to be looked after.
            if error.status >= (_NO_CONNECTION if container else _SERVER_ERROR):
                raise self._unavailable(error.message) from None
            if container is None or error.status not in (_GONE, _CONFLICT):
                raise
        except (ClientError, TimeoutError, OSError) as error:
            raise self._unavailable(str(error) or "it does not answer") from None

    def _unavailable(self, why: str) -> EngineUnavailable:
        return EngineUnavailable(f"the Docker engine at {self.path} is unavailable: {why}")
