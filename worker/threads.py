"""Threads for what would hold up the event loop: looks through /proc, names to be resolved."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Final

from shared.errors import ServiceUnavailable

_NUMBER: Final = 4


def start_threads() -> None:
    """Start all that this process will use. Raises ServiceUnavailable where it may not.

    Not when they are needed: a job of our own user may by then have left it no process to make,
    and could not be stopped without them.
    """
    executor = ThreadPoolExecutor(_NUMBER)
    all_started = Barrier(_NUMBER)
    try:
        for _ in range(_NUMBER):
            executor.submit(all_started.wait)
    except RuntimeError as error:
        all_started.abort()  # or those that were started would wait for ever, and our end for them
        raise ServiceUnavailable(f"this host lacks resources: {error}") from error
    asyncio.get_running_loop().set_default_executor(executor)
