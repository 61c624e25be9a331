"""Opens many connections and keeps them, each in a way that asks for patience.

Run as a program, also by a user who can read nothing here: `python -S -c SOURCE KIND NUMBER
SECONDS ADDRESS [PORT [SOURCE-ADDRESS]]`. Every SECONDS all connections are closed and opened anew;
0: those that the other side closed. Prints `ready` once the first NUMBER have been asked for.
"""

import contextlib
import resource
import socket
import struct
import sys
import time

DOCUMENT = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
FIRST = {
    "silent": b"",
    "storm": b"",  # closed at once, and opened again
    "drip": b"GET /healthz HTTP/1.1\r\nHost: ",  # and then a byte each second
    "idle": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "body": b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
    "unread": DOCUMENT * 250,
}


def _open(kind: str, address: list[str]) -> socket.socket | None:
    connection = socket.socket(socket.AF_INET if len(address) > 1 else socket.AF_UNIX)
    try:
        # Reset at the end: nothing of it is left in the kernel, where ports might run out.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if kind == "unread":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        if len(address) > 2:
            connection.bind((address[2], 0))
        # Not `settimeout`: on a Unix socket that would mean not to wait for a place in the queue.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 5, 0))
        connection.connect((address[0], int(address[1])) if len(address) > 1 else address[0])
        connection.setblocking(False)
        if FIRST[kind]:
            connection.send(FIRST[kind])
    except OSError:
        connection.close()
        return None
    return connection


def _lives(connection: socket.socket, kind: str) -> bool:
    try:
        if kind == "drip":
            connection.send(b"x")
        return kind == "unread" or bool(connection.recv(65536))
    except BlockingIOError:
        return True
    except OSError:
        return False


def main(kind: str, number: int, seconds: float, address: list[str]) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if kind == "storm":
        print("ready", flush=True)
        while True:
            if (connection := _open(kind, address)) is not None:
                connection.close()
    opened: list[socket.socket] = []
    said = False
    while True:
        renew_at = time.monotonic() + seconds if seconds else float("inf")
        for _ in range(number - len(opened)):
            if (connection := _open(kind, address)) is not None:
                opened.append(connection)
        if not said:
            said = bool(print("ready", flush=True)) or True
        while time.monotonic() < renew_at:
            time.sleep(min(1.0, max(0.0, renew_at - time.monotonic())))
            kept = [each for each in opened if _lives(each, kind)]
            gone = [each for each in opened if each not in set(kept)]
            for each in gone:
                each.close()
            opened = kept
            if len(opened) < number and not seconds:
                break
        if seconds:
            for each in opened:
                with contextlib.suppress(OSError):
                    each.close()
            opened = []


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
