"""Metrics of the shared queues."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.amqp.queue_watch import QueueState


class QueueMetrics(Collector):
    def __init__(self, registry: CollectorRegistry) -> None:
        self._states: dict[str, QueueState] = {}
        registry.register(self)

    def tell(self, queue: str, state: QueueState | None) -> None:
        """`state` of a queue; None if it is not known."""
        if state is None:
            self._states.pop(queue, None)
        else:
            self._states[queue] = state

    def collect(self) -> Iterator[GaugeMetricFamily]:
        ready = GaugeMetricFamily(
            "cancel_queue_messages_ready",
            "Messages waiting in a queue. Absent without RabbitMQ or the queue.",
            labels=["queue"],
        )
        consumers = GaugeMetricFamily(
            "cancel_queue_consumers",
            "Consumers of a queue. Absent without RabbitMQ or the queue.",
            labels=["queue"],
        )
        for queue, state in self._states.items():
            ready.add_metric([queue], state.ready)
            consumers.add_metric([queue], state.consumers)
        yield from (ready, consumers)
