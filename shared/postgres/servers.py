"""Connecting to the writable one of several Postgres servers."""

from collections.abc import Callable
from typing import Any

import asyncpg

from shared.configuration.hosts import Host
from shared.configuration.postgres_url import PostgresUrl
from shared.errors import InvalidSettings
from shared.postgres.errors import AWAY, is_mistake, why_not_connected
from shared.services import local_files
from shared.services.named_file import NamedFile
from shared.services.secret_files import read_password


class Servers:
    """The servers of a URL."""

    def __init__(
        self, url: PostgresUrl, timeout: float, password_file: NamedFile | None = None
    ) -> None:
        """`timeout`: seconds per connection attempt."""
        self.timeout = timeout
        self.on_connect: Callable[[], None] = lambda: None
        """Called after each new connection."""
        self._url = url
        self._password_file = password_file
        self._hosts = list(url.hosts)

    def secret_files(self) -> list[NamedFile]:
        """The files with a password or a key."""
        return [file for file in (self._password_file, local_files.key_file(self._url)) if file]

    def read_files(self) -> dict[str, str]:
        """Check the files that a connection needs; the options for asyncpg that are in them.

        asyncpg reads the files for TLS itself, again for each connection, but does not say which
        one it cannot use. Raises InvalidSettings.
        """
        try:
            local_files.check_for_postgres(self._url)
        except ValueError as error:
            raise InvalidSettings(f"DATABASE_URL: {error}") from None
        if self._password_file is None:
            return {}
        try:
            return {"password": read_password(self._password_file)}
        except ValueError as error:
            raise InvalidSettings(str(error)) from None

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
        options["target_session_attrs"] = self._url.session
        try:
            options |= self.read_files()
        except InvalidSettings as error:
            # It was usable at the start, so it is being replaced.
            raise ConnectionError(str(error)) from None
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
