"""The side of a process that a supervisor started."""

import asyncio
import os
from contextlib import suppress

import structlog


class Supervised:
    """What connects this process to its supervisor: a socket."""

    def __init__(self, number: int, descriptor: int) -> None:
        """`number` of the process is in all of its log lines."""
        self._descriptor = descriptor
        structlog.contextvars.bind_contextvars(process=number)

    def tell_ready(self) -> None:
        """Say that this process serves."""
        with suppress(OSError):  # the supervisor has ended, which `stop_when_alone` notices
            os.write(self._descriptor, b"\n")

    def stop_when_alone(self, stop: asyncio.Event) -> None:
        """Set `stop` once the supervisor has ended, however it did.

        Otherwise this process would serve on, unnoticed, beside those that are started next.
        """
        loop = asyncio.get_running_loop()

        def closed() -> None:
            loop.remove_reader(self._descriptor)
            stop.set()

        loop.add_reader(self._descriptor, closed)  # it sends nothing: only its end is readable
