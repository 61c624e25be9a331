"""Starts containers on the engine at DOCKER_HOST, prints their ids, and waits until it is ended.

    containers.py IMAGE NUMBER COMMAND…

The ids come once each container has printed something. Standard library only, as a job of another
user may have nothing else.
"""

import http.client
import json
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

_AT_ONCE = 8


class Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["DOCKER_HOST"].removeprefix("unix://"))


def ask(method: str, path: str, body: object = None, *, most: int | None = None) -> bytes:
    """The answer, or its first `most` bytes."""
    connection = Connection("docker")
    content = None if body is None else json.dumps(body)
    connection.request(method, path, content, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read(most)
    connection.close()
    if response.status >= 400:
        sys.exit(f"{method} {path}: {response.status} {answer!r}")
    return answer


def start(config: object) -> str:
    made = json.loads(ask("POST", "/containers/create", config))
    name: str = made["Id"]
    ask("POST", f"/containers/{name}/start")
    ask("GET", f"/containers/{name}/logs?stdout=1&follow=1", most=1)
    return name


def main() -> None:
    image, number, *command = sys.argv[1:]
    config = {"Image": image, "Cmd": command}
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        ids = list(threads.map(start, [config] * int(number)))
    print(json.dumps(ids), flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
