"""Asking Postgres from the driver, which has its outages too."""

import asyncio
from typing import Final

import asyncpg

AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # A server that ends says so even to who asks nothing, and a question asked just then meets
    # a protocol that is not ready for it (asyncpg 0.32).
    asyncpg.InternalClientError,
)
_SECONDS: Final = 60.0
_PAUSE: Final = 0.2


async def execute(
    database: "asyncpg.Pool[asyncpg.Record]", statement: str, *arguments: object
) -> None:
    """Execute a statement that is safe to repeat, until it is known to be done."""
    end = asyncio.get_running_loop().time() + _SECONDS
    while True:
        try:
            await database.execute(statement, *arguments)
        except AWAY:
            if asyncio.get_running_loop().time() > end:
                raise
        else:
            return
        await asyncio.sleep(_PAUSE)
