"""What is in the broker's queues."""

from tools.support.system import System
from tools.support.waiting import eventually


async def holds(system: System, queue: str, messages: int) -> None:
    """Wait until so many messages are ready in `queue`."""
    await eventually(
        lambda: system.depth(queue),
        lambda found: found == messages,
        what=f"the depth of {queue}",
    )
