"""Ports that stay ours between choosing them and the server's listen, and while it is down."""

import socket


class PortReservation:
    """A TCP port on 127.0.0.1, held by a bound socket that never listens.

    Linux lets a server with SO_REUSEADDR listen beside it, while no other is given the port:
    not another set of servers, not an outgoing connection. So a server can be killed and started
    again on the same port, and clients are refused meanwhile.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.bind(("127.0.0.1", 0))
        # Only after binding, so that two reservations never share a port.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.port: int = self._socket.getsockname()[1]

    def release(self) -> None:
        """Give the port back."""
        self._socket.close()
