"""What is done to a cluster, and what it says of its queues."""

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from tools.services.cluster.nodes import POLL_SECONDS, Nodes, Tool
from tools.services.cluster.queues import QUEUES, Queue, read_queues
from tools.services.model import ServerFailed

_LEADER_SECONDS: Final = 30.0
_ALARM_SECONDS: Final = 90.0
"""Free disk space is looked at each 10 s, or less often while there is plenty."""


class Alarm(StrEnum):
    """What a node has too little of. Publishers are blocked on all nodes."""

    MEMORY = "memory"
    DISK = "disk"


RAISED: Final = {
    Alarm.MEMORY: ("set_vm_memory_high_watermark", "0.000001"),
    Alarm.DISK: ("set_disk_free_limit", "mem_relative", "1000000"),
}
"""By which arguments of rabbitmqctl a node finds that it has too little."""
ENDED: Final = {
    Alarm.MEMORY: ("set_vm_memory_high_watermark", "0.4"),
    Alarm.DISK: ("set_disk_free_limit", "50MB"),
}
"""And by which it finds that it has enough again: RabbitMQ's defaults."""
ALARMED: Final = (
    "integer_to_list(length([A || {{resource_limit, _, _}, _} = A <- rabbit_alarm:get_alarms()]))"
)
"""How many alarms there are, of any node."""


class Cluster(Nodes):
    """Three nodes that are one broker."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names)
        self._alarms: set[tuple[Alarm, int]] = set()
        self._drained: set[int] = set()

    def drain(self, node: int) -> None:
        """Put a node into maintenance: no clients, no leaders; its replicas take part no more.

        It ends when the node is revived, or starts again.
        """
        self._drained.add(node)
        self.run(node, Tool.UPGRADE, "drain")

    def revive(self, node: int) -> None:
        """End the maintenance of a node that was not restarted."""
        self.run(node, Tool.UPGRADE, "revive")
        self._drained.discard(node)

    def start(self, node: int) -> None:
        super().start(node)
        self._drained.discard(node)

    def end_maintenance(self) -> None:
        """Revive the nodes that run and are still in maintenance."""
        self._drained &= set(self.running())
        for node in sorted(self._drained):
            self.revive(node)

    def raise_alarm(self, alarm: Alarm, node: int) -> None:
        """Have a node find that it has too little left; return once the others know."""
        self._alarms.add((alarm, node))
        self.ctl(node, *RAISED[alarm])
        self._wait_for_alarms(there=True)

    def end_alarms(self) -> None:
        """Have all nodes find that they have enough again; return once all of them know."""
        while self._alarms:
            alarm, node = self._alarms.pop()
            self.ctl(node, *ENDED[alarm])
            self._wait_for_alarms(there=False)

    def _wait_for_alarms(self, *, there: bool) -> None:
        deadline = time.monotonic() + _ALARM_SECONDS
        while (self.ask(self.any_able(), ALARMED) != "0") != there:
            if time.monotonic() > deadline:
                raise ServerFailed(f"the alarm does not {'begin' if there else 'end'}")
            time.sleep(POLL_SECONDS)

    def queues(self) -> dict[str, Queue]:
        """Each quorum queue, by its name."""
        return {queue.name: queue for queue in read_queues(self.ask(self.any_able(), QUEUES))}

    def leader_of(self, queue: str) -> int:
        """The node that leads a quorum queue; waits out an election."""
        deadline = time.monotonic() + _LEADER_SECONDS
        while (leader := self.queue(queue).leader) not in self._names(self.running()):
            if time.monotonic() > deadline:
                raise ServerFailed(f"{queue} has no leader: {leader!r}")
            time.sleep(POLL_SECONDS)
        return self._number(leader)

    def members_of(self, queue: str) -> list[int]:
        """The nodes that hold a replica of a quorum queue, whether they run or not."""
        return sorted(map(self._number, self.queue(queue).members))

    def online_of(self, queue: str) -> list[int]:
        """The nodes whose replica of a quorum queue takes part."""
        return sorted(map(self._number, self.queue(queue).online))

    def grow(self, node: int, queues: str = ".*") -> None:
        """Give a node a replica of each queue that matches and has none there."""
        self.run(
            self.any_able(), Tool.QUEUES, "grow", self.names[node], "all", "--queue-pattern", queues
        )

    def remove_member(self, queue: str, node: int) -> None:
        """Take the replica of a quorum queue from a node."""
        self.run(self.any_able(), Tool.QUEUES, "delete_member", queue, self.names[node])

    def rebalance(self, queues: str = ".*") -> None:
        """Spread the leaders of the quorum queues that match over the nodes."""
        self.run(self.any_able(), Tool.QUEUES, "rebalance", "quorum", "--queue-pattern", queues)

    def messages(self) -> dict[str, int | None]:
        """The messages of each queue, those that are taken and not acknowledged included.

        None while it has no leader.
        """
        return {name: queue.messages for name, queue in self.queues().items()}

    def queue(self, name: str) -> Queue:
        try:
            return self.queues()[name]
        except KeyError:
            raise ServerFailed(f"there is no queue {name}") from None

    def _names(self, nodes: list[int]) -> list[str]:
        return [self.names[number] for number in nodes]

    def _number(self, name: str) -> int:
        return self.names.index(name)
