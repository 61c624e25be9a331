"""Programs for Node.js that use amqplib, from npm."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tools.support.program import DEADLINE

AMQPLIB: Final = "amqplib@2"


def install_amqplib(directory: Path) -> Path:
    """Install it there. Skips the test where that is not possible."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node.js and npm are not installed")
    try:
        subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--loglevel=error", AMQPLIB],
            cwd=directory,
            check=True,
            capture_output=True,
            timeout=60,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm cannot install amqplib: {error}")
    return directory


async def start_node(directory: Path, program: str, *arguments: str, **env: str) -> "Node":
    """Start `program`, an ES module, beside what is installed in `directory`."""
    file = directory / f"{abs(hash(program))}.mjs"
    file.write_text(program)
    process = await asyncio.create_subprocess_exec(
        "node",
        str(file),
        *arguments,
        env={**os.environ, **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    return Node(process)


class Node:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            return (await self._process.stdout.readline()).decode().strip()

    async def end(self) -> tuple[int | None, str, str]:
        """Wait for its end: exit code, the rest of stdout, stderr."""
        try:
            async with asyncio.timeout(DEADLINE):
                out, err = await self._process.communicate()
        finally:
            if self._process.returncode is None:
                self._process.kill()
        return self._process.returncode, out.decode(), err.decode()
