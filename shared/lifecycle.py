"""Running a long-lived process: uvloop, signals, shutdown."""

import asyncio
import gc
import resource
import signal
import sys
from collections.abc import Awaitable, Coroutine
from typing import Any, Final, TypeVar

import uvloop

from shared.errors import ServiceUnavailable, UserError


class Shutdown(Exception):
    """Raised in a TaskGroup's body to end all of its tasks."""


T = TypeVar("T")

_CLOSED: Final = "the handler is closed"
"""What uvloop 0.23 says of a write to a connection that is closed already."""


def run(main: Coroutine[object, object, T]) -> T:
    """Run `main` to its end."""
    # Most objects that exist now live forever, so the garbage collector need not scan them each
    # time; and a thousand requests in flight should not trigger it.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop that logs no traceback of an attempt to connect that was given up."""
    loop = uvloop.new_event_loop()
    loop.set_exception_handler(_log_unless_given_up)
    return loop


def _log_unless_given_up(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what asyncio reports.

    Not that a handshake failed in the moment in which its attempt was given up, nor that it could
    not go on when it had just succeeded: nobody waits for it, and whoever gave it up says why.
    """
    error, future = context.get("exception"), context.get("future")
    failed = isinstance(error, OSError) and _is_plain(future)
    closed = isinstance(error, RuntimeError) and _CLOSED in str(error)
    if not failed and not closed:
        loop.default_exception_handler(context)


def _is_plain(future: object) -> bool:
    """Whether it is one of the loop, and no task: an error of a task is always logged."""
    return isinstance(future, asyncio.Future) and not isinstance(future, asyncio.Task)


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
