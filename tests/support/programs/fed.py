"""A command line that reads its standard input."""

import asyncio
import os
import sys

from tools.support.program import DEADLINE
from tools.support.system import System


async def fed(system: System, stdin: bytes, *arguments: str) -> tuple[int, str, str]:
    """Run `python -m ARGUMENTS…` with `stdin` to its end: exit code, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments),
        env={**os.environ, **system.environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(DEADLINE):
        out, err = await process.communicate(stdin)
    return process.returncode or 0, out.decode(), err.decode()
