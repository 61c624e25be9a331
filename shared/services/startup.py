"""A service that is away when a program starts is waited for, but not for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception
from tenacity.wait import wait_exponential_jitter

T = TypeVar("T")

# Seconds.
_LEAST: Final = 1.0
"""For the last attempt, which begins when the time is over."""


async def until_connected(
    connect: Callable[[float], Awaitable[T]],
    *,
    attempt: float,
    within: float | None,
    is_outage: Callable[[BaseException], bool],
    say: Callable[[BaseException | None], None],
) -> T:
    """What `connect` returns, done again after a growing pause for as long as there is an outage.

    `connect` is given the seconds that it may take: `attempt`, or what is left of `within`, in
    which case the last outage is raised. `say` is told of each that is not the last.
    """
    loop = asyncio.get_running_loop()
    end = inf if within is None else loop.time() + within
    pause = wait_exponential_jitter(multiplier=0.1, max=5, jitter=0.1)

    def left() -> float:
        return end - loop.time()

    def before_sleep(state: RetryCallState) -> None:
        say(state.outcome.exception() if state.outcome else None)

    async def connect_in_time() -> T:
        return await connect(min(attempt, max(left(), _LEAST)))

    return await AsyncRetrying(
        retry=retry_if_exception(is_outage),
        wait=lambda state: min(pause(state), max(left(), 0)),
        stop=lambda _: left() <= 0,
        before_sleep=before_sleep,
        reraise=True,
    )(connect_in_time)
