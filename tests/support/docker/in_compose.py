"""Runs in the worker's container of compose.yaml, and the API of its gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final

import aiohttp
import pytest

from tools.support.compose import ComposeFailed, Stack, missing_images

Json = dict[str, Any]

DEADLINE: Final = 60.0

run_ids = count(1)


@asynccontextmanager
async def up(*files: str) -> AsyncIterator[Stack]:
    """A stack that is up, with these files beside compose.yaml. Skips where images are missing."""
    if missing := missing_images():
        pytest.skip(f"Docker is running but cannot pull {', '.join(missing)}")
    stack = Stack(files=files)
    try:
        await stack.up()
        yield stack
    except ComposeFailed as error:
        pytest.fail(f"{error}\n{error.output}\n{await stack.run('logs', '--no-color')}")
    finally:
        await stack.down()


@asynccontextmanager
async def api_of(stack: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    """With a token that an operator made."""
    token = await stack.ops("cancel-gateway", "tokens", "create", "--subject", "alice")
    async with aiohttp.ClientSession(
        f"http://{await stack.address('gateway', 8080)}/api/v1/",
        headers={"Authorization": f"Bearer {token.strip()}"},
        timeout=aiohttp.ClientTimeout(total=DEADLINE),
    ) as session:
        yield session


async def start(stack: Stack, *command: str) -> tuple[int, asyncio.subprocess.Process]:
    """Add a run, and start its command; the run id and the launcher."""
    run_id = next(run_ids)
    await stack.ops("cancel-worker", "runs", "add", str(run_id))
    launched = await stack.start(
        *("exec", "-T", "worker", "cancel-exec", "--run-id", str(run_id), "--", *command)
    )
    return run_id, launched


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE):
        return (await process.stdout.readline()).decode().strip()


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    async with asyncio.timeout(DEADLINE):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


async def terminal(api: aiohttp.ClientSession, run_id: int) -> Json:
    async with api.get(f"runs/{run_id}?wait=30") as response:
        answer: Json = await response.json()
    return answer
