"""How a client of ours tries again: with pauses, and not for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, TypeVar

ATTEMPTS: Final = 40
GIVE_UP_SECONDS: Final = 60.0

T = TypeVar("T")


async def repeated(attempt: Callable[[], Awaitable[T | None]], random: Random) -> T | None:
    """The result of the first attempt that has one; None if it has given up."""
    end = asyncio.get_running_loop().time() + GIVE_UP_SECONDS
    for _ in range(ATTEMPTS):
        result = await attempt()
        if result is not None or asyncio.get_running_loop().time() > end:
            return result
        await asyncio.sleep(random.uniform(0.3, 1.5))
    return None
