"""Requests as bytes, whatever they ask for, and the answers to them."""

import json
import re
import select
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tools.support.records import Json

END_OF_HEAD: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class RawAnswer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> Json:
        """The body, having checked that it is the envelope that all errors have."""
        assert self.headers["Content-Type"] == "application/json"
        error: Json = json.loads(self.body)
        assert set(error) == {"code", "message", "details"}
        assert re.fullmatch("[a-z][a-z0-9_]{0,99}", error["code"])
        assert 1 <= len(error["message"]) <= 500
        assert isinstance(error["details"], dict)
        return error


def exchange(port: int, sent: bytes, cut: int = 0, ending: str = "wait") -> list[RawAnswer]:
    """Send, and read until the gateway closes the connection.

    `cut` is where what is sent is cut in two, if not at 0. `ending` is what follows it: "wait",
    "close" or "reset".
    """
    stream, may_send = b"", True
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        with suppress(ConnectionError):  # the gateway may have seen enough
            if cut:
                client.sendall(sent[:cut])
                # So that it is read by itself, most likely; nothing depends on that.
                select.select([client], [], [], 0.01)
            client.sendall(sent[cut:])
        if ending == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return []
        finished = ending == "close" or END_OF_HEAD not in sent
        with suppress(ConnectionError):
            while True:
                if finished and may_send:
                    may_send = False
                    with suppress(OSError):  # reset by the gateway, what it said can be read
                        client.shutdown(socket.SHUT_WR)
                if not (received := client.recv(65536)):
                    break
                stream += received
                answers, rest = _parsed(stream, to_head=b"HEAD " in sent)
                finished |= bool(answers)
    answers, rest = _parsed(stream, to_head=b"HEAD " in sent)
    assert rest == b""
    return answers


def _parsed(stream: bytes, *, to_head: bool) -> tuple[list[RawAnswer], bytes]:
    """The answers in `stream`, and what follows them; 100 Continue is none."""
    answers = []
    while END_OF_HEAD in stream:
        head, _, rest = stream.partition(END_OF_HEAD)
        line, *lines = head.decode("latin-1").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.[01] ([1-5][0-9]{2}) [ -~]+", line)
        assert match is not None, line
        fields = [re.fullmatch(r"([A-Za-z-]+): ([ -~]*)", it) for it in lines]
        headers = {field[1]: field[2] for field in fields if field is not None}
        assert len(headers) == len(lines), head
        length = int(headers.get("Content-Length", 0))
        if to_head and (rest == b"" or rest.startswith(b"HTTP/")):
            length = 0
        if len(rest) < length:
            break
        if match[1] != "100":
            answers.append(RawAnswer(int(match[1]), headers, rest[:length]))
        stream = rest[length:]
    return answers, stream
