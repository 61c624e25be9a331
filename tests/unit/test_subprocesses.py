"""A process that ended while somebody else holds its output leaves no traceback behind."""

import subprocess
import sys

INTERRUPTED = """
import asyncio, gc, os
from tests.demo.programs import Programs

async def main():
    command = asyncio.create_task(Programs(os.environ).run("/bin/sh", "-c", "sleep 0.4 & echo $$"))
    await asyncio.sleep(0.2)  # in which the shell ends, and sleep does not
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
