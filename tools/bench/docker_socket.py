"""What a socket before a Docker engine costs: each request directly and through it, in turns.

    cancel-exec --run-id N -- python -m tools.bench.docker_socket

The socket is that at DOCKER_HOST, or what `--through` says. Whoever serves it must take this
program's requests, and this program must have the right to use the engine's own socket.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

import aiohttp
import uvloop

from tools.bench.output import report
from tools.bench.output.results import Bar, Results, Row, compared
from tools.errors import ToolError

DIRECT: Final = "unix:///var/run/docker.sock"
IMAGE: Final = "python:3.13-slim"
_AMONG: Final = 10
"""Requests of one kind by one way, before those by the other."""


class Engine:
    """An engine's API at a Unix socket."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def ping(self) -> None:
        await self._ask("GET", "/_ping")

    async def show(self, image: str) -> None:
        await self._ask("GET", f"/images/{image}/json")

    async def create_and_remove(self, image: str) -> None:
        config = {"Image": image, "Cmd": ["true"]}
        name = f"bench-{uuid4().hex}"
        made = await self._ask("POST", f"/containers/create?name={name}", json=config)
        await self._ask("DELETE", f"/containers/{json.loads(made)['Id']}?force=1&v=1")

    async def save(self, images: Sequence[str]) -> int:
        """Read what `docker save` writes; its bytes."""
        read = 0
        names = [("names", image) for image in images]
        async with self._http.get("http://engine/images/get", params=names) as response:
            if not response.ok:
                raise ToolError(f"images/get: {response.status} {await response.text()}")
            async for chunk in response.content.iter_any():
                read += len(chunk)
        return read

    async def _ask(self, method: str, path: str, **more: Any) -> bytes:
        async with self._http.request(method, f"http://engine{path}", **more) as response:
            body = await response.read()
            if not response.ok:
                raise ToolError(f"{method} {path}: {response.status} {body.decode()}")
            return body


@asynccontextmanager
async def engine(address: str, *, kept: bool = True) -> AsyncIterator[Engine]:
    """`kept`: one connection for all requests; else each has its own, as each CLI has."""
    connector = aiohttp.UnixConnector(address.removeprefix("unix://"), force_close=not kept)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        yield Engine(http)


@dataclass(frozen=True, slots=True)
class Both:
    """One figure a round, directly and through the socket."""

    direct: list[float] = field(default_factory=list)
    through: list[float] = field(default_factory=list)


class DockerSocket:
    """Measures an engine by two ways; ours is the one through the socket."""

    def __init__(self, direct: str, through: str, images: Sequence[str], *, quick: bool) -> None:
        self._direct = direct
        self._through = through
        self._images = images
        self._pings, self._creates = (100, 10) if quick else (1_000, 50)

    async def measure(self, results: Results, rounds: int) -> None:
        pings, calls, creates, saves = Both(), Both(), Both(), Both()
        size = 0
        for _ in range(rounds):
            async with engine(self._direct) as one, engine(self._through) as two:
                await self._each(pings, (one.ping, two.ping), self._pings)
                image = self._images[0]
                creating = [partial(way.create_and_remove, image) for way in (one, two)]
                await self._each(creates, creating, self._creates)
                for way, taken in ((one, saves.direct), (two, saves.through)):
                    began = perf_counter()
                    size = await way.save(self._images)
                    taken.append(size / 1e6 / (perf_counter() - began))
            async with (
                engine(self._direct, kept=False) as one,
                engine(self._through, kept=False) as two,
            ):
                await self._each(calls, (one.ping, two.ping), self._pings)
        for key, what, unit, both in (
            ("docker_ping", "GET /_ping through the socket", "ms", pings),
            ("docker_call", "the same, a connection each", "ms", calls),
            ("docker_create", "a container created and removed", "ms", creates),
            ("docker_save", f"docker save of {size / 1e6:.0f} MB", "MB/s", saves),
        ):
            results.rows.append(_row(key, what, unit, both.through, both.direct))

    async def _each(
        self, into: Both, ways: Sequence[Callable[[], Awaitable[None]]], number: int
    ) -> None:
        """Add the median of `number` calls by each way, in turns."""
        taken: tuple[list[float], list[float]] = ([], [])
        for way in ways:  # connections are made outside of what is timed
            await way()
        for _ in range(number // _AMONG):
            for way, milliseconds in zip(ways, taken, strict=True):
                for _ in range(_AMONG):
                    began = perf_counter()
                    await way()
                    milliseconds.append((perf_counter() - began) * 1000)
        into.direct.append(median(taken[0]))
        into.through.append(median(taken[1]))


def _row(
    key: str, measure: str, unit: str, through: Sequence[float], direct: Sequence[float]
) -> Row:
    return compared(key, measure, unit, Bar(), through, "the engine itself", direct)


def rows_of(written: Mapping[str, Any]) -> list[Row]:
    """The rows of results that this program wrote."""
    return [
        _row(
            *(row["key"], row["measure"], row["unit"]),
            row["rounds"]["ours"],
            row["rounds"]["theirs"],
        )
        for row in written["rows"]
    ]


async def has(address: str, image: str) -> bool:
    """Whether an engine answers there, and has the image."""
    try:
        async with engine(address) as asked:
            await asked.show(image)
    except (ToolError, aiohttp.ClientError):
        return False
    return True


async def run(options: argparse.Namespace) -> Results:
    results = Results(report.machine(f"Docker at {options.direct}"), options.quick)
    measure = DockerSocket(
        options.direct, options.through, options.image or [IMAGE], quick=options.quick
    )
    await measure.measure(results, options.rounds)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.docker_socket")
    parser.add_argument("--direct", default=DIRECT, help="the engine's own socket")
    through = os.environ.get("DOCKER_HOST")
    parser.add_argument("--through", default=through, help="the socket before it")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (default 3)")
    parser.add_argument("--image", action="append", help="to save; repeatable; the first is run")
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    parser.add_argument("--out", type=Path, default=Path("build/bench-docker.json"))
    parser.add_argument("--json", action="store_true", help="show no table")
    options = parser.parse_args()
    if options.through is None:
        parser.error("no --through, and no DOCKER_HOST")
    try:
        results = asyncio.Runner(loop_factory=uvloop.new_event_loop).run(run(options))
    except (ToolError, aiohttp.ClientError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    if not options.json:
        report.show(results)
    results.write(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
