"""What stands in for a worker where `cancel-exec` is to be told what no real one says today."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from tools.support.launched import CANCEL_EXEC

Answer = bytes | Callable[[dict[str, Any]], bytes]
"""The bytes to answer with, or what makes them of the request's content."""


def run(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run `cancel-exec` to its end."""
    return subprocess.run(
        [CANCEL_EXEC, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        timeout=30,
        check=False,
    )


def only_line(stderr: str) -> str:
    (line,) = stderr.splitlines()
    assert line.startswith("cancel-exec: ")
    return line


@contextmanager
def fake_worker(path: Path, *answers: Answer, then: Answer | None = None) -> Iterator[list[bytes]]:
    """Gives one of `answers` to each connection, in their order, and `then` to all others.

    Without `then`, it hangs up for good.
    """
    requests: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            for answer in chain(answers, () if then is None else repeat(then)):
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return  # shut down: the test is over
                with connection:
                    requests.append(connection.recv(65536))
                    if callable(answer):
                        answer = answer(content(requests[-1]))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield requests
        if then is not None:
            listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def content(request: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request.partition(b"\r\n\r\n")[2])
    return found


def http(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n\r\n{body}".encode()


GRANTED = http("200 OK", '{"launch_id": "x-1", "containment": "cgroup"}')
RECORDED = http("200 OK", '{"status": "pass", "stopping": false}')
UNKNOWN = http("409 Conflict", '{"refused": "unknown"}')
