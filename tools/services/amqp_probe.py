"""Asks an AMQP 0-9-1 server for its greeting: the proof that it is up, and its version."""

import re
import socket

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
CONNECTION_START = b"\x00\x0a\x00\x0a"
FRAME_HEADER_BYTES = 7
VERSION = re.compile(rb"\x07versionS(.{4})", re.DOTALL)


def server_version(host: str, port: int, timeout: float = 2.0) -> str | None:
    """Return the server's version, or None while no AMQP server answers within ``timeout`` s."""
    try:
        with socket.create_connection((host, port), timeout) as connection:
            connection.sendall(PROTOCOL_HEADER)
            return _version_in(_read_frame(connection))
    except (OSError, EOFError):
        return None


def _read_frame(connection: socket.socket) -> bytes:
    header = _read(connection, FRAME_HEADER_BYTES)
    return _read(connection, int.from_bytes(header[3:7], "big"))


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data


def _version_in(frame: bytes) -> str | None:
    if not frame.startswith(CONNECTION_START):
        return None
    found = VERSION.search(frame)
    if found is None:
        return "unknown"
    length = int.from_bytes(found.group(1), "big")
    return frame[found.end() : found.end() + length].decode("ascii", "replace")
