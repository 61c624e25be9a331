"""Asking Postgres from the driver, which has its outages too."""

import asyncio
from typing import Final

import asyncpg

from shared.errors import ServiceUnavailable
from shared.postgres.database import Database
from shared.registrations import Registered, Registration, register

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


async def registered(database: Database, run: Registration) -> Registered:
    """Register a run, until the result is known."""
    end = asyncio.get_running_loop().time() + _SECONDS
    while True:
        try:
            (result,) = await register(database, [run])
        except ServiceUnavailable:
            if asyncio.get_running_loop().time() > end:
                raise
        else:
            return result
        await asyncio.sleep(_PAUSE)
