"""Ports that stay ours between choosing them and the server's listen, and while it is down."""

import random
import socket
from pathlib import Path
from typing import Final

_LOWEST: Final = 10_000
_ATTEMPTS: Final = 1_000
_GIVEN_OUT: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


class PortReservation:
    """A TCP port on 127.0.0.1, held by a bound socket that never listens.

    Linux lets a server with SO_REUSEADDR listen beside it, while no other is given the port:
    not another set of servers, not an outgoing connection. So a server can be killed and started
    again on the same port, and clients are refused meanwhile.

    It is none of those that Linux gives to outgoing connections: one from another address of this
    machine may have it all the same, and RabbitMQ, which asks for it on all addresses, then says
    dist_port_already_used.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        _bind(self._socket)
        # Only after binding, so that two reservations never share a port.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.port: int = self._socket.getsockname()[1]

    def release(self) -> None:
        """Give the port back."""
        self._socket.close()


def _bind(to_be_bound: socket.socket) -> None:
    """Raises OSError if no port is free."""
    first_given_out = int(_GIVEN_OUT.read_text().split()[0])
    for _ in range(_ATTEMPTS if first_given_out > _LOWEST else 0):
        try:
            to_be_bound.bind(("127.0.0.1", random.randrange(_LOWEST, first_given_out)))
        except OSError:
            continue  # somebody has it
        return
    to_be_bound.bind(("127.0.0.1", 0))
