"""The first statement on a new connection: what Postgres must know of us, and we of it."""

from enum import Flag
from typing import Final

import asyncpg

from shared.configuration.postgres_url import PRIMARY, WRITABLE
from shared.postgres.errors import PoolerRefuses

# A machine that died during a transaction must not keep its locks until Postgres' TCP keepalive
# notices, two hours later. Not a startup parameter: pgbouncer refuses those that it does not know.
_PREPARE: Final = "SET idle_in_transaction_session_timeout = '30s'"
# By the simple protocol, which prepares no statement: of its result, asyncpg only returns how many
# rows there are. The values are those of Kind.
_ASK: Final = """
    SELECT FROM generate_series(1,
        (pg_backend_pid() <> {pid})::int
        + 2 * (current_setting('transaction_read_only') = 'on')::int
        + 4 * pg_is_in_recovery()::int)
"""


class Kind(Flag):
    """What is at the other end of a connection."""

    POOLER = 1
    """Its process is not the one that was announced: something like pgbouncer is in between."""
    READ_ONLY = 2
    STANDBY = 4


async def begin(connection: "asyncpg.Connection[asyncpg.Record]", timeout: float) -> Kind:
    """Set up the session, in one round trip.

    Asked instead of read from what the server reported when connecting: pgbouncer repeats what a
    server reported to it long ago, and would call a promoted standby a standby forever.
    """
    ask = _ASK.format(pid=connection.get_server_pid())
    status = await connection.execute(f"{_PREPARE};{ask}", timeout=timeout)
    return Kind(int(status.removeprefix("SELECT ")))


def require(session: str, kind: Kind) -> None:
    """Raise TargetServerAttributeNotMatched unless `session`, of the URL, allows `kind`."""
    refused = {WRITABLE: Kind.READ_ONLY, PRIMARY: Kind.STANDBY}.get(session)
    if refused is not None and refused in kind:
        raise asyncpg.TargetServerAttributeNotMatched(f"it is not {session}")


async def require_transactions(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Raise PoolerRefuses if a pooler allows no transactions.

    Not in `begin`: pgbouncer allows one that is over within a message.
    """
    try:
        async with connection.transaction():
            pass
    except asyncpg.PostgresConnectionError as error:
        if "statement pooling" in str(error):
            raise PoolerRefuses(
                "a pooler gives each statement to another session: set pool_mode = session or "
                "transaction in pgbouncer.ini"
            ) from None
        raise
