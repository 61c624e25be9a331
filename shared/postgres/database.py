"""Postgres: one pool per process, every wait bounded, every outage one error."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TypeAlias

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy

from shared import postgres_url
from shared.aio.retry import until_connected
from shared.aio.tasks import cancellation_noticed
from shared.errors import InvalidSettings, ServiceUnavailable
from shared.postgres import sql
from shared.postgres.errors import AWAY, MISTAKES, is_outage, reason, why_not_connected
from shared.postgres.servers import Servers
from shared.services import local_files
from shared.services.urls import without_password
from shared.settings import DatabaseSettings

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

log = structlog.get_logger(__name__)


class _Connection(asyncpg.Connection):
    def get_reset_query(self) -> str:
        # Nothing here sets session state, and a reset would be one more round trip per use. A
        # transaction left open is rolled back by asyncpg all the same.
        return ""


class Database:
    """A pool whose connections raise ServiceUnavailable when Postgres cannot answer."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", timeout: float) -> None:
        """`timeout`: seconds for a statement, and for a connection."""
        self._pool = pool
        self._timeout = timeout
        self._may_keep = pool.get_max_size() > 1
        self._kept: Connection | None = None
        self._departures = 0
        """How often all connections were given up: one from before is not used again."""

    @property
    def timeout(self) -> float:
        """Seconds that a statement may take."""
        return self._timeout

    async def fetchrow(self, query: str, *arguments: object) -> asyncpg.Record | None:
        """The first row of `fetch`."""
        rows = await self.fetch(query, *arguments)
        return rows[0] if rows else None

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """One statement, with `timeout` seconds for each of a connection and an answer."""
        with self._outages():
            since = self._departures
            connection = await self._take()
            try:
                return await connection.fetch(query, *arguments, timeout=self._timeout)
            except asyncpg.ReadOnlySQLTransactionError:
                await self._depart(since)
                raise
            except asyncpg.PostgresError:
                raise
            except BaseException:
                # To put it back into the pool would mean to wait for an answer once more.
                _terminate(connection)
                raise
            finally:
                await self._give_back(connection, since)

    async def answers(self) -> bool:
        """Whether Postgres answers now, and takes writes."""
        since = self._departures
        try:
            row = await self.fetchrow(sql.runs.IS_READ_ONLY)
        except ServiceUnavailable:
            return False
        if row is not None and row["read_only"]:
            await self._depart(since)
            return False
        return True

    async def _take(self) -> Connection:
        connection, self._kept = self._kept, None
        if connection is not None and _is_open(connection):
            return connection
        return await self._acquire()

    async def _acquire(self) -> Connection:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._pool.acquire()
        except asyncpg.PostgresError as error:
            # Whatever it is, a password that was changed or a role that is missing on a new
            # primary, it is not the fault of what was to be asked.
            raise ServiceUnavailable(f"Postgres: {reason(error)}") from error

    async def _give_back(self, connection: Connection, since: int) -> None:
        if since != self._departures:
            _terminate(connection)
        # One stays out of the pool, which takes two tasks to give it and to get it back: as much
        # as the rest of a short statement.
        if self._may_keep and self._kept is None and _is_open(connection):
            self._kept = connection
        else:
            await self._pool.release(connection, timeout=self._timeout)

    async def _depart(self, since: int) -> None:
        """Give up all connections there are, unless that was done: one takes no writes.

        After a switchover the address leads to what is a standby by now for a while. What was
        connected meanwhile stays there: nothing closes it, and all that only reads succeeds.
        """
        if since != self._departures:
            return
        self._departures += 1
        connection, self._kept = self._kept, None
        if connection is not None:
            _terminate(connection)
        # Those in use are closed when they are given back. asyncpg's own `expire_connections`
        # takes leave of each, and asyncio reports with a traceback where nobody answers to that.
        with suppress(asyncpg.InterfaceError):  # the pool is being closed
            for _ in range(self._pool.get_idle_size()):
                _terminate(await self._pool.acquire())

    async def close(self) -> None:
        """Give up all connections; raises TimeoutError when some are not given back in time."""
        connection, self._kept = self._kept, None
        if connection is not None:
            _terminate(connection)
        async with asyncio.timeout(self._timeout):
            await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        with self._outages():
            since = self._departures
            connection = await self._take()
            try:
                yield connection
            except BaseException as error:
                if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                    await self._depart(since)
                if since != self._departures:
                    _terminate(connection)
                # Only the pool knows what a statement that was cut off still needs.
                await self._pool.release(connection, timeout=self._timeout)
                raise
            await self._give_back(connection, since)

    @contextmanager
    def _outages(self) -> Iterator[None]:
        was_canceled = cancellation_noticed()
        try:
            yield
        except AWAY as error:
            # A connection whose statement was cut off waits for Postgres when it is put back; if
            # that takes too long, asyncpg's error is raised in the place of our cancellation.
            if was_canceled():
                raise asyncio.CancelledError from error
            raise ServiceUnavailable(f"Postgres: {reason(error)}") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Commit at the end of the block.

        ServiceUnavailable from here leaves it open whether the commit happened, so callers
        must be able to do the whole block again.
        """
        async with self.connection() as connection, connection.transaction():
            yield connection


@asynccontextmanager
async def connected(settings: DatabaseSettings) -> AsyncIterator[Database]:
    """Open the pool, retrying for `startup_timeout` seconds.

    Raises ServiceUnavailable after that, and InvalidSettings for what waiting would not mend.
    """
    pool = await _connected_pool(settings)
    database = Database(pool, settings.database_timeout)
    try:
        yield database
    finally:
        try:
            await database.close()
        except TimeoutError:
            pool.terminate()


async def _connected_pool(settings: DatabaseSettings) -> "asyncpg.Pool[asyncpg.Record]":
    url = settings.database_url.get_secret_value()
    shown = without_password(url)
    parsed = postgres_url.parse(url)
    servers = Servers(parsed, settings.database_timeout)

    def say(error: BaseException | None) -> None:
        log.warning(
            "postgres_unreachable", url=shown, error=why_not_connected(error), retrying=True
        )

    async def open_pool(seconds: float) -> "asyncpg.Pool[asyncpg.Record]":
        servers.timeout = seconds
        pool = await asyncpg.create_pool(
            connect=servers.connect,
            min_size=1,
            max_size=settings.database_pool_size,
            command_timeout=settings.database_timeout,
            connection_class=_Connection,
            server_settings={
                "application_name": "run-cancel",
                # A machine that died in the middle of a transaction must not keep its
                # locks until Postgres' TCP keepalive notices, two hours later.
                "idle_in_transaction_session_timeout": "30s",
            },
        )
        servers.timeout = settings.database_timeout
        return pool

    try:
        local_files.check_for_postgres(parsed)
        return await until_connected(
            open_pool,
            attempt=settings.database_timeout,
            within=settings.startup_timeout,
            is_outage=is_outage,
            say=say,
        )
    except MISTAKES as error:
        raise InvalidSettings(f"DATABASE_URL: {why_not_connected(error)}") from None
    except (*AWAY, asyncpg.PostgresError) as error:
        hint = ""
        if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
            hint = local_files.no_password(parsed)
        why = f"{why_not_connected(error)}{hint}"
        raise ServiceUnavailable(f"cannot use Postgres at {shown}: {why}") from None


def _is_open(connection: Connection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # lost, by which asyncpg has taken it back into the pool
        return False


def _terminate(connection: Connection) -> None:
    if _is_open(connection):
        connection.terminate()
