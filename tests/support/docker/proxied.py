"""The Docker socket of a run in this process, and the clients that jobs use."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from tests.support.docker.engine import ENGINE, UnixConnection
from tests.support.docker.one_run import OneRun, OneRunOnEngine
from worker.docker.proxy.limits import Limits
from worker.docker.proxy.server import serve
from worker.docker.rules.host_access import HostAccess
from worker.docker.rules.host_paths import HostPaths
from worker.docker.scope import LABEL


@dataclass(frozen=True, slots=True)
class Output:
    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """What a command that succeeded has printed."""
        assert self.code == 0, self.err
        return self.out.decode().strip()


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


class Client:
    """A connection to the socket, and what is sent on it byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, text: bytes) -> None:
        self.writer.write(text)
        await self.writer.drain()

    async def request(
        self, line: str, body: bytes | None = None, *fields: str, length: int | None = None
    ) -> None:
        """`length` is told instead of the one of the body, if given."""
        lines = [f"{line} HTTP/1.1", "Host: docker", *fields]
        if body is not None:
            lines.append(f"Content-Length: {len(body) if length is None else length}")
        await self.send("\r\n".join([*lines, "", ""]).encode() + (body or b""))

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def answer(self) -> Answer:
        """A response with a Content-Length."""
        head = await self.head()
        found = re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", head)
        assert found is not None, head
        return Answer(int(head.split()[1]), await self.reader.readexactly(int(found[1])))

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


class Proxied:
    """The socket, and ways to use it."""

    def __init__(self, path: Path, run: OneRun) -> None:
        self.path = path
        self.run = run

    def name(self) -> str:
        """Of a container, which is removed in the end."""
        return f"run-cancel-test-{uuid4().hex[:12]}"

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start the docker CLI as a job would."""
        return await asyncio.create_subprocess_exec(
            "docker",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "DOCKER_HOST": f"unix://{self.path}"},
        )

    async def docker(self, *arguments: str, stdin: bytes = b"") -> Output:
        """Run the docker CLI as a job would."""
        process = await self.start(*arguments)
        async with asyncio.timeout(60):
            out, err = await process.communicate(stdin)
        assert process.returncode is not None
        return Output(process.returncode, out, err.decode())

    async def ask(
        self, method: str, target: str, body: bytes | None = None, **headers: str
    ) -> Answer:
        """One request on a connection of its own."""

        def asked() -> Answer:
            connection = UnixConnection(self.path)
            try:
                fields = {name.replace("_", "-"): value for name, value in headers.items()}
                connection.request(method, target, body, fields)
                response = connection.getresponse()
                return Answer(response.status, response.read())
            finally:
                connection.close()

        return await asyncio.to_thread(asked)

    async def connect(self) -> "Client":
        return Client(*await asyncio.open_unix_connection(self.path, limit=4 * 1024 * 1024))


@asynccontextmanager
async def proxied(
    directory: Path,
    engine: Path = ENGINE,
    limits: Limits | None = None,
    *,
    allows_host_access: bool = False,
) -> AsyncIterator[Proxied]:
    path = directory / "docker.sock"
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(path))
    run = OneRunOnEngine(engine) if engine == ENGINE else OneRun()
    rules = HostAccess(HostPaths(engine, path), allowed=allows_host_access)
    server = await serve(bound, engine, run, rules, limits)
    try:
        yield Proxied(path, run)
    finally:
        await server.close()
        await run.close()
        path.unlink()
        if engine == ENGINE:
            await _remove_all(run)


async def _remove_all(run: OneRun) -> None:
    label = f"label={LABEL}={run.scope.launch_id}"
    for kind, list_all, remove in (
        ("container", ("ls", "-aq"), ("rm", "-fv")),
        ("network", ("ls", "-q"), ("rm",)),
        ("volume", ("ls", "-q"), ("rm",)),
    ):
        if found := (await _engine("docker", kind, *list_all, "--filter", label)).split():
            await _engine("docker", kind, *remove, *found)


async def _engine(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "DOCKER_HOST": f"unix://{ENGINE}"},
    )
    out, _ = await process.communicate()
    return out.decode()
