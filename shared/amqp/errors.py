"""RabbitMQ errors in words that help an operator fix them."""

import re
import ssl
import traceback
from typing import Final

from aio_pika.exceptions import AMQPConnectionError, AMQPError
from aiormq.exceptions import AuthenticationError, InvalidFrameError
from pamqp.commands import Connection
from yarl import URL

from shared.services.reasons import NEEDS_CERTIFICATE, is_unknown_ca, network_reason

# aiormq's own errors name a closed object by its repr.
_CLOSED: Final = re.compile(r"<(Connection|Channel): .* at 0x[0-9a-f]+> closed")


def reason(error: BaseException | None, connecting_to: URL | None = None) -> str:
    """The reason, in one line. With `connecting_to`, the attempt to connect to that URL failed."""
    if isinstance(error, InvalidFrameError) and (close_reason := _close_reason(error)):
        return close_reason
    if isinstance(error, AuthenticationError):
        return error.reason % error.args
    if connecting_to is not None and isinstance(error, (OSError, AMQPError)):
        return _while_connecting(error, connecting_to)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if closed := _CLOSED.fullmatch(str(error)):
        return f"the {closed[1].lower()} is closed"
    return " ".join(str(error).split()) or type(error).__name__


def _close_reason(error: InvalidFrameError) -> str | None:
    """Why the broker closed the connection when a virtual host was opened.

    aiormq 7.2 does not expect a close here, and its error names only the address of the frame. The
    frame itself is in a local variable of the traceback.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            if isinstance(value, Connection.Close):
                return value.reply_text
    return None


def _while_connecting(error: OSError | AMQPError, url: URL) -> str:
    # aiormq wraps OS errors in its own.
    cause = error.__cause__ if isinstance(error, AMQPConnectionError) else error
    tls = url.scheme == "amqps"
    if isinstance(cause, OSError) and is_unknown_ca(cause):
        return f"{network_reason(cause)}; is its CA in CANCEL_AMQP_CA_FILE?"
    if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
        return "this port does not use TLS: set amqp://, or the port for TLS (5671)"
    if isinstance(cause, (EOFError, ConnectionResetError)):
        hung_up = "it closed the connection during the handshake: is it RabbitMQ"
        return f"{hung_up}?" if tls else f"{hung_up}, and does it require TLS (amqps://)?"
    if isinstance(cause, OSError):
        why = network_reason(cause)
        return f"{why}: set CANCEL_AMQP_CERT_FILE" if why == NEEDS_CERTIFICATE else why
    return " ".join(str(error).split()) or type(error).__name__
