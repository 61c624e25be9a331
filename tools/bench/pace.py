"""An open loop's clock, the same for what is measured and for its floor."""

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter

_TICK = 0.001  # seconds

REST = 0.05
"""Seconds before each cancel that is measured alone, and likewise before each of its raw steps and
each of Celery's: a machine that has just done the same is two to three times as fast. The launcher
of the run before is at its end by then, too."""


async def ticks(rate: float, seconds: float) -> AsyncIterator[int]:
    """How many are due, at each tick at which some are."""
    began = perf_counter()
    sent, total = 0, int(rate * seconds)
    while sent < total:
        due = min(total, int((perf_counter() - began) * rate) + 1)
        if due > sent:
            yield due - sent
            sent = due
        await asyncio.sleep(_TICK)  # the clock itself
