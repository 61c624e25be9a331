"""`make demo` and `make up` as a process, and what it leaves."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.support.repository.documents import ROOT

DEADLINE: Final = 100.0
"""Seconds."""


@asynccontextmanager
async def demo(
    environment: dict[str, str], *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tools.demo", *arguments),
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def printed(process: asyncio.subprocess.Process, word: str) -> str:
    """All output up to the first line with `word`."""
    assert process.stdout is not None
    output = ""
    async with asyncio.timeout(DEADLINE):
        while word not in output:
            line = await process.stdout.readline()
            assert line, output
            output += line.decode()
    return output


async def ended(
    process: asyncio.subprocess.Process, deadline: float = DEADLINE
) -> tuple[int, str, str]:
    async with asyncio.timeout(deadline):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


def assert_nothing_left(directory: Path) -> None:
    """No file, and no process that was told of the directory."""
    assert list(directory.iterdir()) == []
    left = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(directory).encode() in told:
            left.append(entry.name)
    assert left == []
