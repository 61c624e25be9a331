"""The project's compose.yaml, brought up under a name and on ports of its own."""

import asyncio
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from tools.errors import ToolError

PROJECT: Final = Path(__file__).parents[2]
PASSWORDS: Final = tuple(
    f"{name}_PASSWORD" for name in ("POSTGRES", "GATEWAY", "WORKER", "OPS", "PUBLISHER")
)
PORTS: Final = (
    *("POSTGRES_PORT", "AMQP_PORT", "RABBITMQ_MANAGEMENT_PORT"),
    *("GATEWAY_PORT", "CONSOLE_PORT"),
)
# What the engine's command line needs, and how an image's build gets at packages.
_INHERITED: Final = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "BUILD_NETWORK")
IMAGES: Final = ("postgres:17", "rabbitmq:4-management", "python:3.13-slim")
_PROGRAM: Final = "docker"
_UP_SECONDS: Final = 420.0
_COMMAND_SECONDS: Final = 90.0
# Longer than any grace period in compose.yaml: what is given up here stays behind.
_DOWN_SECONDS: Final = 300.0
_PULL_SECONDS: Final = 300.0
_ANSWER_SECONDS: Final = 20.0


class ComposeFailed(ToolError):
    """A command of the compose plugin failed; `output` is all that it said."""

    def __init__(self, command: str, output: str) -> None:
        last = ([line for line in output.splitlines() if line.strip()] or ["failed"])[-1]
        super().__init__(f"docker compose {command}: {last.strip()}")
        self.output = output


@cache
def has_plugin() -> bool:
    return shutil.which(_PROGRAM) is not None and _succeeds("compose", "version")


@cache
def has_engine() -> bool:
    """Whether an engine and the plugins for it are there."""
    return has_plugin() and _succeeds("buildx", "version") and _succeeds("version")


def missing_images() -> list[str]:
    """The images that are neither there nor to be had; pulls what is not there yet."""
    return [
        image
        for image in IMAGES
        if not _succeeds("image", "inspect", image)
        and not _succeeds("pull", "--quiet", image, seconds=_PULL_SECONDS)
    ]


def left_of(project: str) -> list[str]:
    """The ids of its containers, volumes and networks."""
    label = f"label=com.docker.compose.project={project}"
    left: list[str] = []
    for kind in (("container", "--all"), ("volume",), ("network",)):
        listing = [_PROGRAM, kind[0], "ls", "--quiet", *kind[1:], "--filter", label]
        done = subprocess.run(
            listing, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=True
        )
        left += done.stdout.split()
    return left


def new_passwords() -> dict[str, str]:
    return {name: secrets.token_urlsafe(18) for name in PASSWORDS}


def read_configuration(environment: Mapping[str, str], *arguments: str) -> tuple[int, str, str]:
    """What `docker compose config` makes of the file: exit code, stdout, stderr."""
    done = subprocess.run(
        [*_command("run-cancel-config"), "config", *arguments],
        env={**_inherited(), **environment},
        capture_output=True,
        text=True,
        timeout=_COMMAND_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def _free_ports() -> dict[str, str]:
    return dict.fromkeys(PORTS, "0")


@dataclass(frozen=True)
class Stack:
    """All services of one project. Take it down when done, also if it did not come up."""

    name: str = field(default_factory=lambda: f"run-cancel-{uuid4().hex[:8]}")
    passwords: Mapping[str, str] = field(default_factory=new_passwords, repr=False)
    settings: Mapping[str, str] = field(default_factory=_free_ports)
    files: Sequence[str] = ()
    """Of this project, beside compose.yaml: what they say goes over that."""

    async def up(self, *options: str) -> None:
        """Build the images and wait until all services are healthy. Raises ComposeFailed."""
        await self.run("up", "--build", "--wait", "--quiet-pull", *options, seconds=_UP_SECONDS)

    async def down(self) -> None:
        """Take down containers, networks, volumes, and the images that `up` built."""
        arguments = ("--profile", "*", "down", "--volumes", "--rmi", "local", "--timeout", "20")
        await self.run(*arguments, seconds=_DOWN_SECONDS)

    async def ops(self, *command: str) -> str:
        """Run an operator's command; what it printed."""
        return await self.run("run", "--rm", "-T", "ops", *command)

    async def address(self, service: str, port: int) -> str:
        """Where the host reaches `port` of a service, as host:port."""
        return (await self.run("port", service, str(port))).strip()

    async def run(self, *arguments: str, seconds: float = _COMMAND_SECONDS) -> str:
        """Run `docker compose ARGUMENTS…` to its end; what it printed. Raises ComposeFailed."""
        process = await self.start(*arguments)
        try:
            async with asyncio.timeout(seconds):
                output, errors = await process.communicate()
        except TimeoutError:
            raise ComposeFailed(arguments[0], f"did not end within {seconds:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise ComposeFailed(arguments[0], output.decode() + errors.decode())
        return output.decode()

    async def start(
        self, *arguments: str, errors: int = asyncio.subprocess.PIPE
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *_command(self.name, self.files),
            *arguments,
            env={**_inherited(), **self.settings, **self.passwords},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            limit=2**24,
        )

    async def lines(self, *arguments: str) -> AsyncGenerator[str, None]:
        """What `docker compose ARGUMENTS…` prints, until it ends or is no longer wanted."""
        process = await self.start(*arguments, errors=asyncio.subprocess.DEVNULL)
        try:
            assert process.stdout is not None
            async for line in process.stdout:
                yield line.decode(errors="replace").rstrip()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def containers(self) -> list[dict[str, Any]]:
        """All of its containers, those that ended included."""
        lines = (await self.run("ps", "--all", "--format", "json")).splitlines()
        return [json.loads(line) for line in lines]


def _command(name: str, files: Sequence[str] = ()) -> list[str]:
    paths = [str(PROJECT / file) for file in ("compose.yaml", *files)]
    given = [word for path in paths for word in ("--file", path)]
    # No .env: whoever runs this may have one of their own.
    return [_PROGRAM, "compose", "--project-name", name, *given, "--env-file", os.devnull]


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def _succeeds(*arguments: str, seconds: float = _ANSWER_SECONDS) -> bool:
    try:
        done = subprocess.run(
            [_PROGRAM, *arguments], capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
