"""Which of asyncpg's errors are outages, which are mistakes, and what they mean."""

from typing import Final

import asyncpg

from shared.services.reasons import network_reason

AWAY: Final = (
    OSError,  # TimeoutError too
    asyncpg.InterfaceError,
    # Raised on a connection whose last word, sent while it was idle, was that it is being ended:
    # asyncpg 0.32 has read that, but not yet that the connection is closed. Also where no server
    # takes writes.
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

MISTAKES: Final = (
    ValueError,  # asyncpg.ClientConfigurationError is one
    # A parameter of the URL that asyncpg does not know is a setting for the server.
    asyncpg.UndefinedObjectError,
    asyncpg.InvalidParameterValueError,
    asyncpg.CantChangeRuntimeParamError,
)
"""While connecting: what DATABASE_URL says will not do, however long one waits."""

_HUNG_UP: Final = "it closed the connection during the handshake: is it Postgres?"
_IN_OTHER_WORDS: Final = {
    "rejected SSL upgrade": "it is not Postgres, or does not support TLS, which sslmode requires",
    "unexpected connection_lost() call": _HUNG_UP,
}


def reason(error: BaseException | None) -> str:
    """What is wrong, in one line."""
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return "it accepts no writes: it is a standby or read-only"
    text = " ".join(str(error).split())
    for theirs, ours in _IN_OTHER_WORDS.items():
        if theirs in text:
            return ours
    if isinstance(error, OSError):
        return network_reason(error)
    return text or type(error).__name__


def why_not_connected(error: BaseException | None) -> str:
    """`reason` for what went wrong while connecting."""
    if isinstance(error, (asyncpg.ConnectionDoesNotExistError, ConnectionResetError)):
        return _HUNG_UP
    if isinstance(error, asyncpg.UndefinedObjectError):
        return f"{reason(error)}: remove it"
    return reason(error)


def is_outage(error: BaseException) -> bool:
    """While connecting: whether it may be over by itself."""
    # Also a role or a database that is missing: it may be on its way.
    return isinstance(error, (*AWAY, asyncpg.PostgresError)) and not isinstance(error, MISTAKES)
