"""Threads for work that would block the event loop: scans of /proc, name resolution."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Final

from shared.errors import ServiceUnavailable

_NUMBER: Final = 4


def start_threads() -> None:
    """Start all threads of this process. Raises ServiceUnavailable if it cannot.

    Not on demand: by then, a job of our own user may have used up the process limit, and could not
    be stopped without them.
    """
    executor = ThreadPoolExecutor(_NUMBER)
    all_started = Barrier(_NUMBER)
    try:
        for _ in range(_NUMBER):
            executor.submit(all_started.wait)
    except RuntimeError as error:
        all_started.abort()  # otherwise the started threads would wait forever
        raise ServiceUnavailable(f"this host lacks resources: {error}") from error
    asyncio.get_running_loop().set_default_executor(executor)
