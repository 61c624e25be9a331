"""What the console needs, and what it last saw of the queues."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.amqp.queue_watch import QueueState
from shared.amqp.topology import Topology
from worker.console.runbook.sections import Section

_DEAD = Topology().dead


class Queues:
    """The states of the shared queues, as long as RabbitMQ tells them."""

    def __init__(self) -> None:
        self._states: dict[str, QueueState] = {}

    def tell(self, queue: str, state: QueueState | None) -> None:
        if state is None:
            self._states.pop(queue, None)
        else:
            self._states[queue] = state

    @property
    def states(self) -> Mapping[str, QueueState]:
        return self._states


@dataclass(frozen=True, slots=True)
class QueueNow:
    name: str
    ready: int
    consumers: int
    section: Section | None
    """What to do, if messages wait and nobody takes them."""


def queues_now(queues: Queues) -> list[QueueNow]:
    return [
        QueueNow(name, state.ready, state.consumers, _section(name, state))
        for name, state in queues.states.items()
    ]


def _section(name: str, state: QueueState) -> Section | None:
    if not state.ready or state.consumers:
        return None
    return Section.LETTERS_NOT_KEPT if name == _DEAD else Section.QUEUE_NOT_CONSUMED
