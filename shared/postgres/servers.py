"""Connecting to the writable one of several Postgres servers."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import asyncpg

from shared.configuration.hosts import Host
from shared.postgres.access import Access
from shared.postgres.errors import AWAY, PoolerRefuses, is_mistake, why_not_connected
from shared.postgres.session import Kind, begin, require, require_transactions


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
        self._poolers: set[Host | None] = set()

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
        # "any": `begin` asks.
        options |= {"target_session_attrs": "any", **self._access.read()}
        if not self._hosts:
            return await self._open(None, self.timeout, options)
        share = self.timeout / len(self._hosts)
        problems: list[tuple[Host, Exception]] = []
        for host in tuple(self._hosts):
            try:
                connection = await self._open(host, share, options)
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

    async def _open(
        self, host: Host | None, timeout: float, options: Mapping[str, Any]
    ) -> "asyncpg.Connection[asyncpg.Record]":
        """Connect to `host`, or to asyncpg's default."""
        until = asyncio.get_running_loop().time() + timeout
        place = {} if host is None else {"host": host.name, "port": host.port}
        # A pooler may give each transaction to another session, which does not have what this one
        # has prepared. Without a cache, asyncpg prepares each statement where it is executed.
        cache = {"statement_cache_size": 0} if host in self._poolers else {}
        try:
            connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
                self._url.dsn, timeout=timeout, **{**options, **place, **cache}
            )
        except asyncpg.ProtocolViolationError as error:
            if "unsupported startup parameter" in str(error):
                raise PoolerRefuses(f"pgbouncer: {error}; remove it") from None
            raise
        try:
            left = until - asyncio.get_running_loop().time()
            kind = await begin(connection, left)
            require(self._url.session, kind)
            if Kind.POOLER not in kind or host in self._poolers:
                return connection
            await require_transactions(connection)
        except BaseException:
            connection.terminate()
            raise
        self._poolers.add(host)
        connection.terminate()
        return await self._open(host, until - asyncio.get_running_loop().time(), options)
