"""Classifies asyncpg's errors as outages or mistakes, and explains them."""

import ssl
from typing import Final

import asyncpg

from shared.errors import RunCancelError
from shared.services.reasons import NEEDS_CERTIFICATE, is_unknown_ca, network_reason


class PoolerRefuses(RunCancelError, ConnectionError, ValueError):
    """A mistake at the start; an outage once the program is running."""


AWAY: Final = (
    OSError,  # TimeoutError too
    asyncpg.InterfaceError,
    # Raised on an idle connection that the server is closing: asyncpg 0.32 has read the message,
    # but not yet the end of the connection. Also raised if no server accepts writes.
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

_MISTAKES: Final = (
    ValueError,  # asyncpg.ClientConfigurationError is one
    # asyncpg sends unknown parameters of the URL to the server, as settings.
    asyncpg.UndefinedObjectError,
    asyncpg.InvalidParameterValueError,
    asyncpg.CantChangeRuntimeParamError,
)

_HUNG_UP: Final = "it closed the connection during the handshake: is it Postgres?"
_IN_OTHER_WORDS: Final = {
    "rejected SSL upgrade": "it is not Postgres, or does not support TLS, which sslmode requires",
    "unexpected connection_lost() call": _HUNG_UP,
    "connection requires a valid client certificate": f"{NEEDS_CERTIFICATE}: set sslcert",
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
    """`reason`, for an error while connecting."""
    if error is not None and isinstance(error.__cause__, ssl.SSLError):
        # The server's answer to our client certificate comes after the handshake.
        return network_reason(error.__cause__)
    if is_unknown_ca(error):
        return f"{reason(error)}; is its CA in sslrootcert?"
    if isinstance(error, (asyncpg.ConnectionDoesNotExistError, ConnectionResetError)):
        return _HUNG_UP
    if isinstance(error, asyncpg.UndefinedObjectError):
        return f"{reason(error)}: remove it"
    return reason(error)


def is_mistake(error: BaseException) -> bool:
    """While connecting: whether DATABASE_URL is wrong, and waiting does not help."""
    # A certificate of the server that is not accepted is a ValueError, too.
    return isinstance(error, _MISTAKES) and not isinstance(error, ssl.SSLError)


def is_outage(error: BaseException) -> bool:
    """Whether an error while connecting may go away."""
    # Including a missing role or database: it may be created soon.
    return isinstance(error, (*AWAY, asyncpg.PostgresError)) and not is_mistake(error)
