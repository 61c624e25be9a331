"""Asking Postgres from the driver, which has its outages too."""

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
