"""Postgres of a round: one server, or a primary and its standby."""

import asyncio
from typing import Final, Protocol

from tools.services import PrivatePair, PrivatePostgres, Replication, Sandbox

FOLLOWED_SECONDS: Final = 30.0


class Postgres(Protocol):
    """What faults and checks ask of it, be it one server or two."""

    @property
    def url(self) -> str:
        """Leads to the server that accepts writes."""
        ...

    @property
    def urls(self) -> tuple[str, ...]:
        """Of each server, the primary first."""
        ...

    def start(self) -> None: ...

    def kill(self) -> None:
        """Kill the primary."""
        ...

    async def restart(self) -> None:
        """Start the killed primary again."""
        ...


class OneServer:
    def __init__(self, sandbox: Sandbox) -> None:
        self._server = PrivatePostgres(sandbox)
        self.start = self._server.start
        self.kill = self._server.kill
        self.url = self._server.url
        self.urls = (self._server.url,)

    async def restart(self) -> None:
        await asyncio.to_thread(self._server.start)


class TwoServers:
    """A primary and its standby, of which a fault may take the primary for good."""

    def __init__(self, sandbox: Sandbox, replication: Replication) -> None:
        self.pair = PrivatePair(sandbox, replication)
        self.start = self.pair.start

    @property
    def url(self) -> str:
        return f"{self.pair.url()}?target_session_attrs=read-write"

    @property
    def urls(self) -> tuple[str, ...]:
        return self.pair.primary.url, self.pair.standby.url

    def kill(self) -> None:
        self.pair.primary.kill()

    async def restart(self) -> None:
        await asyncio.to_thread(self.pair.primary.start)
        await self.followed()

    async def followed(self) -> None:
        """Return once the standby has all that the primary has confirmed.

        Only then may it replace the primary, as a cluster manager knows, too.
        """
        async with asyncio.timeout(FOLLOWED_SECONDS):
            await self.pair.followed()
