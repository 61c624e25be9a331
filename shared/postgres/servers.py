"""Connecting to the writable one of several Postgres servers."""

from typing import Any

import asyncpg

from shared.configuration.hosts import Host
from shared.configuration.postgres_url import PostgresUrl
from shared.postgres.errors import AWAY, MISTAKES, why_not_connected


class Servers:
    """The servers of a URL."""

    def __init__(self, url: PostgresUrl, timeout: float) -> None:
        """`timeout`: seconds per connection attempt."""
        self.timeout = timeout
        self._url = url
        self._hosts = list(url.hosts)

    async def connect(
        self, dsn: str | None = None, **options: Any
    ) -> "asyncpg.Connection[asyncpg.Record]":
        """Connect to the first server that is reachable and accepts writes; for asyncpg's pool.

        Not with asyncpg's own list of hosts: it has one timeout for all of them together, and a
        dead machine would use it up each time.
        """
        options["target_session_attrs"] = self._url.session
        if not self._hosts:
            return await asyncpg.connect(self._url.dsn, timeout=self.timeout, **options)
        share = self.timeout / len(self._hosts)
        problems: list[tuple[Host, Exception]] = []
        for host in tuple(self._hosts):
            try:
                connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
                    self._url.dsn, host=host.name, port=host.port, timeout=share, **options
                )
            except MISTAKES:
                raise
            except AWAY as error:
                problems.append((host, error))
            else:
                self._hosts.sort(key=lambda other: other != host)  # the next attempt starts there
                return connection
        if len(problems) == 1:
            raise problems[0][1]
        raise ConnectionError(
            "; ".join(f"{host}: {why_not_connected(error)}" for host, error in problems)
        )
