"""What asyncio leaves out."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def first_of(*waits: Awaitable[object]) -> None:
    """Return when the first of `waits` ends, however it ends, and cancel the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def cancellation_noticed() -> Callable[[], bool]:
    """A question for later: was the current task canceled since now?

    Some waits of libraries, and asyncio's own in Python 3.11, raise an error of their own in the
    place of a cancellation that comes at the same moment.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    asked_for = task.cancelling()
    return lambda: task.cancelling() > asked_for


async def end(task: "asyncio.Task[T]") -> None:
    """Cancel `task` until it has ended.

    Once is not always enough: what waits in a library, and in Python 3.11 in asyncio's own
    `wait_for`, may be given what came at the same moment in the place of the cancellation.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.5)
    if not task.cancelled():
        task.exception()  # looked at, so that asyncio does not complain
