"""Helpers that asyncio lacks."""

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
    """Return a function that tells whether the current task was canceled since this call.

    Some libraries, and asyncio in Python 3.11, raise another error instead of a cancellation that
    comes at the same moment.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    asked_for = task.cancelling()
    return lambda: task.cancelling() > asked_for


async def end(task: "asyncio.Task[T]") -> None:
    """Cancel `task` until it has ended.

    Once is not always enough: some libraries, and `asyncio.wait_for` in Python 3.11, return a
    result that came at the same moment, and drop the cancellation.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.5)
    if not task.cancelled():
        task.exception()  # retrieved, so that asyncio does not log it as never retrieved
