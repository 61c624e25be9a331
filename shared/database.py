"""Postgres: one pool per process, every wait bounded, every outage one error."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.stop import stop_after_delay
from tenacity.wait import wait_exponential_jitter

from shared.errors import ServiceUnavailable
from shared.settings import DatabaseSettings
from shared.tasks import cancellation_noticed
from shared.urls import without_password

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

log = structlog.get_logger(__name__)

_AWAY = (
    OSError,  # TimeoutError too
    asyncpg.InterfaceError,
    # Raised on a connection whose last word, sent while it was idle, was that it is being ended:
    # asyncpg 0.32 has read that, but not yet that the connection is closed.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,  # no connection left, disk full, …
    asyncpg.OperatorInterventionError,  # shutting down, starting up, canceled by hand, …
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InvalidCachedStatementError,  # the schema was upgraded under us; asyncpg forgets it
    asyncpg.TransactionRollbackError,  # deadlock, serialization
)


class _Connection(asyncpg.Connection):
    def get_reset_query(self) -> str:
        # Nothing here sets session state, and a reset would be one more round trip per use. A
        # transaction left open is rolled back by asyncpg all the same.
        return ""


class Database:
    """A pool whose connections raise ServiceUnavailable when Postgres cannot answer."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout
        self._may_keep = pool.get_max_size() > 1
        self._kept: Connection | None = None

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
            connection = await self._take()
            try:
                return await connection.fetch(query, *arguments, timeout=self._timeout)
            except asyncpg.PostgresError:
                raise
            except BaseException:
                # To put it back into the pool would mean to wait for an answer once more.
                if _is_open(connection):
                    connection.terminate()
                raise
            finally:
                await self._give_back(connection)

    async def answers(self) -> bool:
        """Whether Postgres answers now."""
        try:
            await self.fetch("SELECT 1")
        except ServiceUnavailable:
            return False
        return True

    async def _take(self) -> Connection:
        connection, self._kept = self._kept, None
        if connection is not None and _is_open(connection):
            return connection
        async with asyncio.timeout(self._timeout):
            return await self._pool.acquire()

    async def _give_back(self, connection: Connection) -> None:
        # One stays out of the pool, which takes two tasks to give it and to get it back: as much
        # as the rest of a short statement.
        if self._may_keep and self._kept is None and _is_open(connection):
            self._kept = connection
        else:
            await self._pool.release(connection)

    async def close(self) -> None:
        """Give up all connections; raises TimeoutError when some are not given back in time."""
        connection, self._kept = self._kept, None
        if connection is not None and _is_open(connection):
            connection.terminate()
        async with asyncio.timeout(self._timeout):
            await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        with self._outages():
            async with self._pool.acquire(timeout=self._timeout) as connection:
                yield connection

    @contextmanager
    def _outages(self) -> Iterator[None]:
        was_canceled = cancellation_noticed()
        try:
            yield
        except _AWAY as error:
            # A connection whose statement was cut off waits for Postgres when it is put back; if
            # that takes too long, asyncpg's error is raised in the place of our cancellation.
            if was_canceled():
                raise asyncio.CancelledError from error
            raise ServiceUnavailable(f"Postgres: {_reason(error)}") from error

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
    """Open the pool, retrying for `startup_timeout` seconds; raises ServiceUnavailable after."""
    url = settings.database_url.get_secret_value()
    shown = without_password(url)

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("postgres_unreachable", url=shown, error=_reason(error), retrying=True)

    pool: asyncpg.Pool[asyncpg.Record] | None = None
    try:
        async for attempt in AsyncRetrying(
            # Also a role or a database that is missing: it may be on its way.
            retry=retry_if_exception_type((*_AWAY, asyncpg.PostgresError)),
            wait=wait_exponential_jitter(multiplier=0.1, max=5, jitter=0.1),
            stop=stop_after_delay(settings.startup_timeout),
            before_sleep=say,
            reraise=True,
        ):
            with attempt:
                pool = await asyncpg.create_pool(
                    url,
                    min_size=1,
                    max_size=settings.database_pool_size,
                    timeout=settings.database_timeout,
                    command_timeout=settings.database_timeout,
                    connection_class=_Connection,
                    server_settings={
                        "application_name": "run-cancel",
                        # A machine that died in the middle of a transaction must not keep its
                        # locks until Postgres' TCP keepalive notices, two hours later.
                        "idle_in_transaction_session_timeout": "30s",
                    },
                )
    except (*_AWAY, asyncpg.PostgresError, ValueError) as error:
        raise ServiceUnavailable(f"cannot use Postgres at {shown}: {_reason(error)}") from None
    assert pool is not None  # noqa: S101 - the loop above returns or raises
    database = Database(pool, settings.database_timeout)
    try:
        yield database
    finally:
        try:
            await database.close()
        except TimeoutError:
            pool.terminate()


def _is_open(connection: Connection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # lost, by which asyncpg has taken it back into the pool
        return False


def _reason(error: BaseException | None) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
