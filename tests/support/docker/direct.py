"""The engine itself, past everything that may stand before it."""

import json
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from tools.support.waiting import eventually

DEFAULT: Final = "unix:///var/run/docker.sock"


class Direct:
    """What the engine has of a mark."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def ask(self, path: str, method: str = "GET") -> Any:
        """Its answer; None where it says that there is no such thing."""
        async with self._http.request(method, f"http://engine{path}") as response:
            body = await response.read()
            if response.status == HTTPStatus.NOT_FOUND:
                return None
            assert response.ok, (method, path, response.status, body)
            return json.loads(body) if body.strip() else {}

    async def containers(self, mark: str) -> list[dict[str, Any]]:
        """All marked ones, running or not, as `docker inspect` shows them."""
        listed = await self.ask("/containers/json?all=1")
        return await self._marked(mark, (f"/containers/{row['Id']}/json" for row in listed))

    async def running(self, mark: str) -> list[str]:
        """The ids of those that the engine believes to be running."""
        return [row["Id"] for row in await self.containers(mark) if row["State"]["Running"]]

    async def networks(self, mark: str) -> list[dict[str, Any]]:
        return _with(mark, await self.ask("/networks"))

    async def volumes(self, mark: str) -> list[dict[str, Any]]:
        """The named ones; anonymous ones are the mounts of `containers`."""
        return _with(mark, (await self.ask("/volumes"))["Volumes"] or [])

    async def images(self, mark: str) -> list[dict[str, Any]]:
        """All that a build of a marked job left, unfinished ones included."""
        listed = await self.ask("/images/json?all=1")
        return await self._marked(mark, (f"/images/{row['Id']}/json" for row in listed))

    async def remove_all(self, mark: str) -> None:
        """Remove all that is marked, whatever state it is in."""
        for container in await self.containers(mark):
            await self.remove(f"/containers/{container['Id']}?force=1&v=1")
        for network in await self.networks(mark):
            await self.remove(f"/networks/{network['Id']}")
        for volume in await self.volumes(mark):
            await self.remove(f"/volumes/{volume['Name']}?force=1")
        for image in await self.images(mark):
            await self.remove(f"/images/{image['Id']}?force=1")

    async def remove(self, path: str) -> None:
        """Remove what is at `path`, once nobody else is at it."""
        await eventually(lambda: self._removed(path), what=f"whether {path} is removed")

    async def _removed(self, path: str) -> bool:
        async with self._http.delete(f"http://engine{path}") as response:
            # Somebody else is at it, or it is still used by what is just going.
            if response.status in (HTTPStatus.CONFLICT, HTTPStatus.FORBIDDEN):
                return False
            assert response.ok or response.status == HTTPStatus.NOT_FOUND, (path, response.status)
            return True

    async def _marked(self, mark: str, paths: Iterable[str]) -> list[dict[str, Any]]:
        # Some may go while we look.
        found = [await self.ask(path) for path in paths]
        return _with(mark, [row for row in found if row is not None])


def _with(mark: str, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if mark in json.dumps(row)]


@asynccontextmanager
async def direct(docker_host: str | None = None) -> AsyncIterator[Direct]:
    """Talk to the engine at `docker_host`, a Unix socket."""
    address = docker_host or os.environ.get("DOCKER_HOST", DEFAULT)
    connector = aiohttp.UnixConnector(address.removeprefix("unix://"))
    async with aiohttp.ClientSession(connector=connector) as http:
        yield Direct(http)
