"""Running a long-lived process: uvloop, signals, shutdown."""

import asyncio
import gc
import resource
import signal
import sys
from collections.abc import Awaitable, Coroutine
from typing import TypeVar

import uvloop

from shared.errors import ServiceUnavailable, UserError


class Shutdown(Exception):
    """Raised in a TaskGroup's body to end all of its tasks."""


T = TypeVar("T")


def run(main: Coroutine[object, object, T]) -> T:
    """Run `main` to its end."""
    # Most objects that exist now live forever, so the garbage collector need not scan them each
    # time; and a thousand requests in flight should not trigger it.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def allow_many_files() -> None:
    """Raise the soft limit on open files to the hard limit: the default is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_files() -> int:
    """The maximum number of open files of this process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def stop_requested() -> asyncio.Event:
    """An event that is set on SIGTERM and SIGINT. Call from within the loop."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, event.set)
    return event


class Lifetime:
    """How long a process serves: until a signal, or an error that is not a fault of the program.

    Either way, the process can end in order. Create it from within the loop; from then on, SIGTERM
    and SIGINT no longer end the process at once.
    """

    def __init__(self) -> None:
        self._over = stop_requested()
        self.error: ServiceUnavailable | UserError | None = None
        """The first error that ended it; None after a signal."""

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    async def over(self) -> None:
        """Return once it is over."""
        await self._over.wait()

    async def until_fails(self, work: Awaitable[object]) -> None:
        """Await `work`. If it raises ServiceUnavailable or UserError, the lifetime is over."""
        try:
            await work
        except (ServiceUnavailable, UserError) as error:
            self.error = self.error or error
            self._over.set()
