"""Publishing within a trace: the message carries the trace context."""

from typing import Final

from pamqp.commands import Basic

from shared.amqp.publisher import Publisher
from shared.configuration.settings import ServiceSettings
from shared.telemetry.tracing import Attributes, SpanKind, Tracer

_OPERATION: Final[Attributes] = {
    "messaging.system": "rabbitmq",
    "messaging.operation.name": "send",
    "messaging.operation.type": "send",
}


def publisher_for(settings: ServiceSettings, name: str, tracer: Tracer) -> Publisher:
    """A publisher with a span for each message, or without spans if tracing is off."""
    return TracedPublisher(settings, name, tracer) if tracer.on else Publisher(settings, name)


class TracedPublisher(Publisher):
    def __init__(self, settings: ServiceSettings, name: str, tracer: Tracer) -> None:
        super().__init__(settings, name)
        self._tracer = tracer

    async def send(
        self, exchange: str, routing_key: str, body: bytes, properties: Basic.Properties
    ) -> None:
        headers = properties.headers or {}
        # Without a current span, as in a replay, the message continues its own trace.
        within = headers if self._tracer.current().trace_id is None else None
        destination = ":".join(filter(None, (exchange, routing_key)))
        attributes = {
            **_OPERATION,
            "messaging.destination.name": destination,
            **about(routing_key, properties.message_id, properties.correlation_id),
            "messaging.message.body.size": len(body),
        }
        with self._tracer.span(f"send {destination}", SpanKind.PRODUCER, attributes, within):
            properties.headers = {**headers, **self._tracer.headers()}
            await super().send(exchange, routing_key, body, properties)


def about(
    routing_key: str | None, message_id: str | None, correlation_id: str | None
) -> Attributes:
    """The attributes of a message."""
    found = {
        "messaging.rabbitmq.destination.routing_key": routing_key,
        "messaging.message.id": message_id,
        "messaging.message.conversation_id": correlation_id,
    }
    return {name: value for name, value in found.items() if value}
