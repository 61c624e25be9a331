"""Waiting for what nothing announces."""

import asyncio
from collections.abc import Callable
from time import monotonic

from tools.support.program import DEADLINE


async def eventually(what: Callable[[], bool], deadline: float = DEADLINE) -> None:
    end = monotonic() + deadline
    while not what():
        assert monotonic() < end, f"did not happen: {what}"
        await asyncio.sleep(0.005)
