"""`make up` where Docker is: compose.yaml under a name of its own, until Ctrl-C."""

import asyncio
import json
import os
from contextlib import aclosing, suppress
from pathlib import Path
from shlex import quote

from tools.demo.cancels import tell_of
from tools.demo.screen import Screen
from tools.services import Sandbox
from tools.services.ladder import forced_rung, from_environment
from tools.services.model import Rung
from tools.services.signals import terminated_as_exit
from tools.support.compose import PROJECT, ComposeFailed, Stack, has_engine, missing_images

SERVERS = ("postgres", "rabbitmq", "gateway", "console", "worker")
"""The services whose containers are to go on."""


def applies(screen: Screen) -> bool:
    """Whether compose can do it and nothing else was asked for. Raises ServicesUnavailable."""
    if forced_rung(os.environ) is Rung.NATIVE or from_environment(os.environ) is not None:
        return False
    if not has_engine():
        return False
    if missing := missing_images():
        screen.note(
            f"Docker is running but cannot pull {', '.join(missing)}; continuing without it"
        )
    return not missing


def up(screen: Screen) -> int:
    """Serve until Ctrl-C or SIGTERM. Raises ComposeFailed."""
    with terminated_as_exit(), Sandbox() as sandbox:
        return asyncio.run(_serve(Stack(), sandbox.path, screen))


async def _serve(stack: Stack, directory: Path, screen: Screen) -> int:
    screen.note("docker compose up --build --wait; the first time takes a few minutes")
    try:
        await stack.up()
        token = await stack.ops(
            *("cancel-gateway", "tokens", "create", "--subject", "you", "--expires-in", "1d"),
            *("--role", "admin"),
        )
        file = _write_environment(stack, directory)
        url = f"http://{await stack.address('gateway', 8080)}"
        console = f"http://{await stack.address('console', 8081)}"
        _explain(screen, stack, file, url, console, token.strip())
        await follow(stack, screen)
        raise ComposeFailed("events", "the engine reports nothing anymore")
    finally:
        screen.note("docker compose down --volumes")
        await stack.down()


async def follow(stack: Stack, screen: Screen) -> None:
    """Tell of each cancel and of each container that ends, for as long as the engine reports."""
    await asyncio.gather(_tell_of_cancels(stack, screen), _tell_of_ends(stack, screen))


async def _tell_of_cancels(stack: Stack, screen: Screen) -> None:
    log = ("logs", "--follow", "--no-color", "--no-log-prefix", "worker")
    async with aclosing(stack.lines(*log)) as lines:
        async for line in lines:
            # The entrypoint prints text, and compose 2.26 begins each line by an escape sequence.
            _, brace, rest = line.partition("{")
            with suppress(ValueError):
                tell_of(json.loads(brace + rest), screen)


async def _tell_of_ends(stack: Stack, screen: Screen) -> None:
    async with aclosing(stack.lines("events", "--json", *SERVERS)) as lines:
        async for line in lines:
            event = json.loads(line)
            if event["action"] == "die" and event["service"] in SERVERS:
                code = event["attributes"].get("exitCode", "unknown")
                screen.bad(f"the container of {event['service']} ended: exit code {code}")


def _write_environment(stack: Stack, directory: Path) -> Path:
    """What `docker compose` needs to be told in another terminal; no more than we may read it."""
    variables = {
        "COMPOSE_PROJECT_NAME": stack.name,
        "COMPOSE_FILE": str(PROJECT / "compose.yaml"),
        **stack.passwords,
    }
    file = directory / "compose.env"
    file.touch(mode=0o600)
    file.write_text("".join(f"export {name}={quote(it)}\n" for name, it in variables.items()))
    return file


def _explain(screen: Screen, stack: Stack, file: Path, url: str, console: str, token: str) -> None:
    """Print what to paste."""
    blocks = {
        "Operator's terminal": (
            f". {quote(str(file))}",
            f"export TOKEN={token}",
            "docker compose run --rm ops cancel-worker runs add 1",
        ),
        "Runner's terminal: the worker's container is a runner host": (
            f"docker exec -i {stack.name}-worker-1 cancel-exec --run-id 1 -- sleep 1000",
        ),
        "Operator's terminal, while the run is running: cancel it over HTTP": (
            f'curl -i -X POST -H "Authorization: Bearer $TOKEN" {url}/api/v1/runs/1/cancel',
            f'curl -H "Authorization: Bearer $TOKEN" "{url}/api/v1/runs/1?wait=30"',
            "docker compose run --rm ops cancel-worker runs show 1",
        ),
    }
    screen.good(f"gateway at {url}; API documentation: {url}/api/v1/docs")
    screen.good(f"console at {console}; sign in with the token below")
    screen.line(
        f"    log: . {quote(str(file))}; docker compose logs -f worker gateway", style="dim"
    )
    screen.to_paste(blocks)
    screen.line("Ctrl-C stops and removes all of this.", style="dim")
