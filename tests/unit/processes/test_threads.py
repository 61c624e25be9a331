"""A worker that may not start its threads says so and ends."""

import os
import subprocess
import sys

import pytest

# Of a user that has no other process. Some modules are out of that user's reach: loaded before.
SCRIPT = """
import asyncio, os, resource
from shared.errors import ServiceUnavailable
from worker.threads import start_threads
async def main():
    try:
        start_threads()
    except ServiceUnavailable as error:
        print(error)
os.setuid(54321)
resource.setrlimit(resource.RLIMIT_NPROC, (3, 3))
asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_where_there_is_no_room_for_all_it_ends_with_those_that_were_started() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=20, check=False
    )

    assert (done.returncode, done.stdout) == (
        0,
        "this host lacks resources: can't start new thread\n",
    ), done.stderr
