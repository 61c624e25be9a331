"""What is left in the broker's queues, delivered but unacknowledged messages included."""

from tools.chaos.observed import event_queue
from tools.chaos.system.servers import Servers


async def depths(servers: Servers) -> dict[str, int]:
    printed = await servers.ctl("list_queues", "--quiet", "--no-table-headers", "name", "messages")
    rows = [line.split("\t") for line in printed.splitlines() if "\t" in line]
    # What is told to us stays there until the end.
    return {name: int(count) for name, count in rows if name != event_queue.QUEUE}
