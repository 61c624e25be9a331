"""What is in the broker's queues."""

import asyncio
from time import monotonic

from tools.support.program import DEADLINE
from tools.support.system import System


async def holds(system: System, queue: str, messages: int) -> None:
    """Wait until so many messages are ready in `queue`."""
    end = monotonic() + DEADLINE
    while (found := await system.depth(queue)) != messages:
        assert monotonic() < end, f"{queue} holds {found}, not {messages}"
        await asyncio.sleep(0.01)
