"""Metrics of the shared queues."""

from contextlib import suppress

from prometheus_client import CollectorRegistry, Gauge

from shared.amqp.queue_watch import QueueState


class QueueMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._ready = Gauge(
            "cancel_queue_messages_ready",
            "Messages waiting in a queue. Absent without RabbitMQ or the queue.",
            ["queue"],
            registry=registry,
        )
        self._consumers = Gauge(
            "cancel_queue_consumers",
            "Consumers of a queue. Absent without RabbitMQ or the queue.",
            ["queue"],
            registry=registry,
        )

    def tell(self, queue: str, state: QueueState | None) -> None:
        """`state` of a queue; None if it is not known."""
        if state is None:
            for gauge in (self._ready, self._consumers):
                with suppress(KeyError):
                    gauge.remove(queue)
            return
        self._ready.labels(queue).set(state.ready)
        self._consumers.labels(queue).set(state.consumers)
