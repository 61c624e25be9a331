"""The spans of a command: its delivery, and its stop with all signals."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final

from shared.amqp.keys import REST_KEY
from shared.amqp.topology import Topology
from shared.amqp.traced_publisher import about
from shared.commands import CancelCommand
from shared.telemetry.tracing import (
    COMMAND_ID,
    NO_SPAN,
    RUN_ID,
    Attributes,
    Span,
    SpanKind,
    Tracer,
    Value,
)
from worker.evidence import Evidence, StopFailed
from worker.messages.delivery import Delivery
from worker.messages.headers import History

_OPERATION: Final[Attributes] = {
    "messaging.system": "rabbitmq",
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
}


def delivery_span(
    tracer: Tracer,
    topology: Topology,
    message: Delivery,
    history: History,
    command: CancelCommand | None = None,
) -> Span:
    """The span of one delivery, in the trace from the message's headers."""
    if not tracer.on:
        return NO_SPAN
    destination = _destination(message, topology)
    attributes: dict[str, Value] = {
        **_OPERATION,
        "messaging.destination.name": destination,
        "messaging.rabbitmq.message.delivery_tag": message.delivery_tag,
        **about(message.routing_key, message.message_id, message.correlation_id),
        "run_cancel.via": history.via.value,
        "run_cancel.attempt": history.attempt,
    }
    if command is not None:
        attributes[RUN_ID] = str(command.run_id)
        attributes[COMMAND_ID] = str(command.command_id)
    return tracer.span(f"process {destination}", SpanKind.CONSUMER, attributes, message.headers)


async def stop_within_span(
    tracer: Tracer, grace: float, work: Callable[[], Awaitable[Evidence]]
) -> Evidence:
    """Do `work`, a stop with `grace` seconds left, in a span with its result."""
    if not tracer.on:
        return await work()
    deadline = datetime.now(UTC) + timedelta(seconds=grace)
    attributes: Attributes = {
        "run_cancel.deadline": deadline.isoformat(timespec="milliseconds"),
        "run_cancel.grace_left": round(grace, 3),
    }
    with tracer.span("stop", attributes=attributes) as span:
        try:
            evidence = await work()
        except StopFailed as failure:
            _add_evidence(span, failure.evidence)
            raise
        _add_evidence(span, evidence)
        return evidence


def _destination(message: Delivery, topology: Topology) -> str:
    exchange, key = message.exchange or "", message.routing_key or ""
    # In the default exchange, the routing key is the name of a queue.
    queue = topology.rest if key == REST_KEY else topology.cancel
    return ":".join(filter(None, (exchange, key, queue if exchange else None)))


def _add_evidence(span: Span, evidence: Evidence) -> None:
    for at, sent in groupby(evidence.signals, key=lambda signal: signal.at):
        signals = list(sent)
        names = " ".join(signal.signal for signal in signals)
        attributes: Attributes = {
            "run_cancel.signals": names,
            "run_cancel.processes": signals[0].processes,
        }
        span.event(f"sent {names}", datetime.fromisoformat(at), attributes)
    if evidence.proof is not None and evidence.proved_at is not None:
        proof: Attributes = {"run_cancel.proof": evidence.proof.value}
        span.event("proved", datetime.fromisoformat(evidence.proved_at), proof)
        span.set(proof)
    span.set(
        {
            "run_cancel.ended": evidence.ended.value,
            "run_cancel.survivors": len(evidence.survivors),
            "run_cancel.escaped": len(evidence.escaped),
        }
    )
    if evidence.containment is not None:
        span.set({"run_cancel.containment": evidence.containment.value})
