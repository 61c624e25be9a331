"""Retries during an outage, with growing pauses, until the work succeeds."""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, retry_if_exception_type
from tenacity.wait import wait_exponential_jitter

from shared.deferred_logs import get_logger
from shared.errors import ServiceUnavailable

log = get_logger(__name__)

T = TypeVar("T")

# Seconds.
_PAUSE: Final = wait_exponential_jitter(multiplier=0.1, max=5, jitter=0.1)
_MIN_TIMEOUT: Final = 1.0
"""Timeout of the last attempt, which begins when the time is over."""


async def until_available(work: Callable[[], Awaitable[T]]) -> T:
    """Return what `work` returns, and repeat it while it raises ServiceUnavailable.

    For work that must not be dropped. It must be idempotent: during an outage, it may have
    succeeded without a response.
    """

    try:
        return await work()
    except ServiceUnavailable as error:
        log.warning("service_unavailable", error=str(error), attempt=1)

    def say(state: RetryCallState) -> None:
        error = _error_of(state)
        log.warning("service_unavailable", error=str(error), attempt=state.attempt_number + 1)

    return await AsyncRetrying(
        retry=retry_if_exception_type(ServiceUnavailable),
        wait=_PAUSE,
        before_sleep=say,
        reraise=True,
    )(work)


async def until_connected(
    connect: Callable[[float], Awaitable[T]],
    *,
    attempt: float,
    within: float | None,
    is_outage: Callable[[BaseException], bool],
    say: Callable[[BaseException | None], None],
) -> T:
    """Return what `connect` returns, and retry it during an outage, for a bounded time.

    `connect` gets its timeout: `attempt`, or the rest of `within`. The last outage is raised;
    `say` is called with each earlier one.
    """
    loop = asyncio.get_running_loop()
    end = inf if within is None else loop.time() + within

    def left() -> float:
        return end - loop.time()

    async def connect_in_time() -> T:
        return await connect(min(attempt, max(left(), _MIN_TIMEOUT)))

    return await AsyncRetrying(
        retry=retry_if_exception(is_outage),
        wait=lambda state: min(_PAUSE(state), max(left(), 0)),
        stop=lambda _: left() <= 0,
        before_sleep=lambda state: say(_error_of(state)),
        reraise=True,
    )(connect_in_time)


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
