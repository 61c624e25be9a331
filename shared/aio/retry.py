"""Retries during an outage, with growing pauses, until the work succeeds."""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import TYPE_CHECKING, Final, TypeVar

from shared.deferred_logs import get_logger
from shared.errors import ServiceUnavailable

if TYPE_CHECKING:
    from tenacity import RetryCallState
    from tenacity.wait import wait_base

log = get_logger(__name__)

T = TypeVar("T")

# Seconds.
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

    # Most commands end before they need it.
    from tenacity import AsyncRetrying, retry_if_exception_type

    def say(state: "RetryCallState") -> None:
        error = _error_of(state)
        log.warning("service_unavailable", error=str(error), attempt=state.attempt_number + 1)

    return await AsyncRetrying(
        retry=retry_if_exception_type(ServiceUnavailable),
        wait=_pause(),
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

    try:
        return await connect_in_time()
    except BaseException as error:
        if not is_outage(error) or left() <= 0:
            raise
        say(error)

    from tenacity import AsyncRetrying, retry_if_exception

    pause = _pause()
    return await AsyncRetrying(
        retry=retry_if_exception(is_outage),
        wait=lambda state: min(pause(state), max(left(), 0)),
        stop=lambda _: left() <= 0,
        before_sleep=lambda state: say(_error_of(state)),
        reraise=True,
    )(connect_in_time)


def _pause() -> "wait_base":
    """Growing pauses, in seconds, of which no two are alike."""
    from tenacity.wait import wait_exponential_jitter

    return wait_exponential_jitter(multiplier=0.1, max=5, jitter=0.1)


def _error_of(state: "RetryCallState") -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
