"""A port that several processes listen on."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import UserError
from shared.http.server import why_not_listening


@contextmanager
def shared_port(host: str, port: int) -> Iterator[int]:
    """Hold a port of `host` within the block, for processes that share it (SO_REUSEPORT).

    It is `port`, or a free one for 0. Raises UserError if it is in use.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # Another gateway of this user may share its port with anyone. So first ask for one alone.
        with socket.socket(family, kind, protocol) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(address)
            found = alone.getsockname()
        holder = socket.socket(family, kind, protocol)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(found)
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}: {why_not_listening(error)}") from None
    # It never listens, so it gets no connection. It keeps others from taking the port.
    with holder:
        yield int(found[1])
