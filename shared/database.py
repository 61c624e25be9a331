"""Postgres: one pool per process, every wait bounded, every outage one error."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.stop import stop_after_delay
from tenacity.wait import wait_exponential_jitter

from shared.errors import ServiceUnavailable
from shared.settings import DatabaseSettings
from shared.urls import without_password

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

log = structlog.get_logger(__name__)

_AWAY = (
    OSError,
    TimeoutError,
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

    async def fetchrow(self, query: str, *arguments: object) -> asyncpg.Record | None:
        """One statement, with `database_timeout` seconds for all that it takes."""
        try:
            async with asyncio.timeout(self._timeout), self.connection() as connection:
                try:
                    return await connection.fetchrow(query, *arguments)
                except (asyncio.CancelledError, TimeoutError):
                    # To put it back into the pool would mean to wait for an answer once more.
                    connection.terminate()
                    raise
        except TimeoutError as error:
            raise ServiceUnavailable("Postgres did not answer in time") from error

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        asked_for = task.cancelling()
        try:
            async with self._pool.acquire(timeout=self._timeout) as connection:
                yield connection
        except _AWAY as error:
            # A connection whose statement was cut off waits for Postgres when it is put back; if
            # that takes too long, asyncpg's error is raised in the place of our cancellation.
            if task.cancelling() > asked_for:
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
    try:
        yield Database(pool, settings.database_timeout)
    finally:
        try:
            async with asyncio.timeout(settings.database_timeout):
                await pool.close()
        except TimeoutError:
            pool.terminate()


def _reason(error: BaseException | None) -> str:
    return str(error) or type(error).__name__
