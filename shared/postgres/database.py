"""Postgres: one pool per process, bounded waits, and one exception for every outage."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from shared.aio.retry import until_connected
from shared.aio.tasks import cancellation_noticed
from shared.configuration.settings import DatabaseSettings
from shared.deferred_logs import get_logger
from shared.errors import InvalidSettings, ServiceUnavailable
from shared.postgres import sql
from shared.postgres.access import Access
from shared.postgres.errors import AWAY, is_mistake, is_outage, reason, why_not_connected
from shared.postgres.servers import Servers
from shared.services.urls import without_password

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

log = get_logger(__name__)


class _Connection(asyncpg.Connection):
    def get_reset_query(self) -> str:
        # No code sets session state, and a reset would be one more round trip per use.
        # asyncpg still rolls back an open transaction.
        return ""


class Database:
    """A pool whose connections raise ServiceUnavailable when Postgres cannot answer."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", timeout: float) -> None:
        """`timeout`: seconds for a statement, and for a connection."""
        self._pool = pool
        self.on_connect: Callable[[], None] = lambda: None
        """Called after each new connection: it may be to another server than before."""
        self._timeout = timeout
        self._may_keep = pool.get_max_size() > 1
        self._kept: Connection | None = None
        self._drops = 0
        """The number of times that all connections were dropped: older ones are not used again."""

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
            since = self._drops
            connection = await self._take()
            try:
                return await connection.fetch(query, *arguments, timeout=self._timeout)
            except asyncpg.ReadOnlySQLTransactionError:
                await self._drop_all(since)
                raise
            except asyncpg.PostgresError:
                raise
            except BaseException:
                # Its return to the pool would wait for a response once more.
                _terminate(connection)
                raise
            finally:
                await self._give_back(connection, since)

    async def answers(self) -> bool:
        """Whether Postgres answers now, and takes writes."""
        since = self._drops
        try:
            row = await self.fetchrow(sql.runs.IS_READ_ONLY)
        except ServiceUnavailable:
            return False
        if row is not None and row["read_only"]:
            await self._drop_all(since)
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
            # For example, a changed password, or a role that is missing on a new primary: not an
            # error in the statement.
            raise ServiceUnavailable(f"Postgres: {reason(error)}") from error

    async def _give_back(self, connection: Connection, since: int) -> None:
        if since != self._drops:
            _terminate(connection)
        # One connection is kept out of the pool, because acquire and release take two tasks: as
        # much as the rest of a short statement.
        if self._may_keep and self._kept is None and _is_open(connection):
            self._kept = connection
        else:
            await self._pool.release(connection, timeout=self._timeout)

    async def _drop_all(self, since: int) -> None:
        """Drop all connections, unless that was just done: one of them accepts no writes.

        After a switchover, the address may lead to the new standby for a while. Connections made
        in that time stay there: nothing closes them, and reads succeed.
        """
        if since != self._drops:
            return
        self._drops += 1
        connection, self._kept = self._kept, None
        if connection is not None:
            _terminate(connection)
        # Those in use are closed when they are released. asyncpg's own `expire_connections` closes
        # each one in order, and asyncio logs a traceback if the server does not respond.
        with suppress(asyncpg.InterfaceError):  # the pool is being closed
            for _ in range(self._pool.get_idle_size()):
                _terminate(await self._pool.acquire())

    async def close(self) -> None:
        """Close all connections; raises TimeoutError if some are not released in time."""
        connection, self._kept = self._kept, None
        if connection is not None:
            _terminate(connection)
        async with asyncio.timeout(self._timeout):
            await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        with self._outages():
            since = self._drops
            connection = await self._take()
            try:
                yield connection
            except BaseException as error:
                if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                    await self._drop_all(since)
                if since != self._drops:
                    _terminate(connection)
                # Only the pool knows how to clean up after a canceled statement.
                await self._pool.release(connection, timeout=self._timeout)
                raise
            await self._give_back(connection, since)

    @contextmanager
    def _outages(self) -> Iterator[None]:
        was_canceled = cancellation_noticed()
        try:
            yield
        except AWAY as error:
            # After a canceled statement, the release waits for Postgres. If that takes too long,
            # asyncpg raises its own error instead of our cancellation.
            if was_canceled():
                raise asyncio.CancelledError from error
            raise ServiceUnavailable(f"Postgres: {reason(error)}") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Commit at the end of the block.

        After ServiceUnavailable, the commit may or may not have happened, so callers must be able
        to repeat the whole block.
        """
        async with self.connection() as connection:
            is_committing = False
            try:
                async with connection.transaction():
                    yield connection
                    is_committing = True
            except BaseException:
                # asyncpg would cancel the statement. But a commit that waits for a synchronous
                # standby would then be done, and visible, although a failover may undo it.
                # After a rollback that was canceled, the transaction is still open. asyncpg would
                # end it at the return to the pool, and log an error.
                if is_committing or _is_in_transaction(connection):
                    _terminate(connection)
                raise


@asynccontextmanager
async def connected(settings: DatabaseSettings) -> AsyncIterator[Database]:
    """Open the pool, retrying for `startup_timeout` seconds.

    Raises ServiceUnavailable after that, and InvalidSettings for errors that do not go away.
    """
    pool, servers = await _connected_pool(settings)
    database = Database(pool, settings.database_timeout)
    servers.on_connect = lambda: database.on_connect()
    try:
        yield database
    finally:
        try:
            await database.close()
        except TimeoutError:
            pool.terminate()


async def _connected_pool(
    settings: DatabaseSettings,
) -> "tuple[asyncpg.Pool[asyncpg.Record], Servers]":
    url = settings.database_url.get_secret_value()
    shown = without_password(url)
    access = Access(settings)
    servers = Servers(access, settings.database_timeout)

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
            server_settings={"application_name": "run-cancel"},
        )
        servers.timeout = settings.database_timeout
        return pool

    access.check_files()
    try:
        pool = await until_connected(
            open_pool,
            attempt=settings.database_timeout,
            within=settings.startup_timeout,
            is_outage=is_outage,
            say=say,
        )
        return pool, servers
    except (*AWAY, ValueError, asyncpg.PostgresError) as error:
        if is_mistake(error):
            raise InvalidSettings(f"DATABASE_URL: {why_not_connected(error)}") from None
        hint = ""
        if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
            hint = access.why_no_login()
        why = f"{why_not_connected(error)}{hint}"
        raise ServiceUnavailable(f"cannot use Postgres at {shown}: {why}") from None


def _is_open(connection: Connection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # it was lost, and asyncpg has already released it
        return False


def _is_in_transaction(connection: Connection) -> bool:
    return _is_open(connection) and connection.is_in_transaction()


def _terminate(connection: Connection) -> None:
    if _is_open(connection):
        connection.terminate()
