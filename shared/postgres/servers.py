"""Connecting to the writable one of several Postgres servers."""

from collections.abc import Callable
from typing import Any

import asyncpg

from shared.configuration.hosts import Host
from shared.postgres.access import Access
from shared.postgres.errors import AWAY, is_mistake, why_not_connected


class Servers:
    """The servers of a URL."""

    def __init__(self, access: Access, timeout: float) -> None:
        """`timeout`: seconds per connection attempt."""
        self.timeout = timeout
        self.on_connect: Callable[[], None] = lambda: None
        """Called after each new connection."""
        self._access = access
        self._url = access.url
        self._hosts = list(access.url.hosts)

    async def connect(
        self, dsn: str | None = None, **options: Any
    ) -> "asyncpg.Connection[asyncpg.Record]":
        """Connect to the first server that is reachable and accepts writes; for asyncpg's pool.

        Not with asyncpg's own list of hosts: it has one timeout for all of them together, and a
        dead machine would use it up each time.
        """
        connection = await self._connect(options)
        self.on_connect()
        return connection

    async def _connect(self, options: dict[str, Any]) -> "asyncpg.Connection[asyncpg.Record]":
        options |= {"target_session_attrs": self._url.session, **self._access.read()}
        if not self._hosts:
            return await asyncpg.connect(self._url.dsn, timeout=self.timeout, **options)
        share = self.timeout / len(self._hosts)
        problems: list[tuple[Host, Exception]] = []
        for host in tuple(self._hosts):
            try:
                connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
                    self._url.dsn, host=host.name, port=host.port, timeout=share, **options
                )
            except AWAY as error:
                if is_mistake(error):
                    raise
                problems.append((host, error))
            else:
                self._hosts.sort(key=lambda other: other != host)  # the next attempt starts there
                return connection
        if len(problems) == 1:
            raise problems[0][1]
        raise ConnectionError(
            "; ".join(f"{host}: {why_not_connected(error)}" for host, error in problems)
        )
