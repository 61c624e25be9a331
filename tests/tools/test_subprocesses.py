"""A process that ended while another holds its output leaves no traceback behind."""

import subprocess
import sys

INTERRUPTED = """
import asyncio, gc, os
from tools.demo.programs import Programs

started = []
start = asyncio.create_subprocess_exec

async def start_and_tell(*arguments, **options):
    started.append(await start(*arguments, **options))
    return started[0]

asyncio.create_subprocess_exec = start_and_tell

async def main():
    command = asyncio.create_task(Programs(os.environ).run("/bin/sh", "-c", "sleep 0.4 & echo $$"))
    async with asyncio.timeout(10):
        # That the shell has ended; asyncio tells nobody while sleep holds its output.
        while not started or started[0].returncode is None:
            await asyncio.sleep(0.01)
    command.cancel()
    await asyncio.gather(command, return_exceptions=True)

asyncio.run(main())
gc.collect()
"""


def test_a_command_that_is_interrupted_then_says_nothing() -> None:
    process = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=True
    )

    assert process.stderr == ""
