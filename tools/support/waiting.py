"""Waiting for what nothing announces."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from time import monotonic
from typing import Any, Final, TypeVar, overload

from tools.support.program import DEADLINE

_LOOK_AGAIN: Final = 0.005
_ASK_AGAIN: Final = 0.02  # of a server, which has other work too

T = TypeVar("T")


@overload
async def eventually(
    ask: Callable[[], Awaitable[T]],
    holds: Callable[[T], object] = bool,
    *,
    what: str = "it",
    deadline: float = DEADLINE,
) -> T: ...
@overload
async def eventually(
    ask: Callable[[], T],
    holds: Callable[[T], object] = bool,
    *,
    what: str = "it",
    deadline: float = DEADLINE,
) -> T: ...
async def eventually(
    ask: Callable[[], Any],
    holds: Callable[[Any], object] = bool,
    *,
    what: str = "it",
    deadline: float = DEADLINE,
) -> Any:
    """Call `ask`, and await what it returns, until `holds` is true of the answer; that answer.

    `what` names what is asked for, in the error after `deadline` seconds.
    """
    end = monotonic() + deadline
    while True:
        answer = ask()
        if is_awaited := isawaitable(answer):
            answer = await answer
        if holds(answer):
            return answer
        assert monotonic() < end, f"after {deadline:g} s {what} is still {answer!r}"
        await asyncio.sleep(_ASK_AGAIN if is_awaited else _LOOK_AGAIN)
