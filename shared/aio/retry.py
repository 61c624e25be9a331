"""Waiting out an outage: work that may not be dropped is done again until it gets through."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_exponential_jitter

from shared.errors import ServiceUnavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")


async def until_available(work: Callable[[], Awaitable[T]]) -> T:
    """Return what `work` returns, doing it again for as long as it raises ServiceUnavailable.

    `work` must be safe to repeat: an outage can hide that it succeeded.
    """

    try:
        return await work()
    except ServiceUnavailable as error:
        log.warning("service_unavailable", error=str(error), attempt=1)

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("service_unavailable", error=str(error), attempt=state.attempt_number + 1)

    return await AsyncRetrying(
        retry=retry_if_exception_type(ServiceUnavailable),
        wait=wait_exponential_jitter(multiplier=0.1, max=5, jitter=0.1),
        before_sleep=say,
        reraise=True,
    )(work)
