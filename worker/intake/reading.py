"""Reads deliveries as commands."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import structlog

from shared.amqp.topology import Topology
from shared.commands import CancelCommand
from shared.states import DeadReason
from shared.telemetry.tracing import NO_SPAN, Span, Tracer
from worker.messages import conversion
from worker.messages.conversion import Failure, Undeliverable
from worker.messages.delivery import Delivery
from worker.messages.headers import History, HistoryReader, moved_back
from worker.messages.reply_address import IGNORED, ReplyAddress, address_of, ignores_reply_to
from worker.messages.request import Origin, Original, Request
from worker.traces import delivery_span

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Read:
    """A command, and how it came."""

    message: Delivery
    history: History
    command: CancelCommand
    faults: Mapping[str, str]
    reply: ReplyAddress | None
    span: Span

    def request(self) -> Request:
        origin = Origin(self.history.via, self.history.publisher, self.faults, self.reply)
        return Request(self.command, origin, Original(self.message, self.history))

    @property
    def log_fields(self) -> dict[str, object]:
        fields: dict[str, object] = {
            "run_id": self.command.run_id,
            "command_id": str(self.command.command_id),
            "correlation_id": self.message.correlation_id,
        }
        if self.faults:
            fields["faults"] = dict(self.faults)
        if self.span is not NO_SPAN:
            fields["trace_id"] = self.span.trace_id
        return fields


@dataclass(frozen=True, slots=True)
class NotACommand:
    """A message that is not a command."""

    message: Delivery
    history: History
    failure: Failure


class CommandReader:
    def __init__(self, histories: HistoryReader, topology: Topology, tracer: Tracer) -> None:
        self._histories = histories
        self._topology = topology
        self._tracer = tracer

    def read(
        self, message: Delivery, more_faults: Mapping[str, str] = MappingProxyType({})
    ) -> Read | NotACommand:
        """What the message says. `more_faults` are noted with the command."""
        history = self._histories.read(message)
        if history.letter is not None:
            history = moved_back(history)
        try:
            reading = conversion.parse(message, history)
        except Undeliverable as error:
            return NotACommand(message, history, Failure(error.reason, str(error)))
        except Exception as error:  # no message may crash a worker: it would crash the next one too
            log.exception("message_not_read", message_id=message.message_id)
            problem = f"{type(error).__name__}: {error}"
            return NotACommand(message, history, Failure(DeadReason.MALFORMED, problem))
        span = NO_SPAN
        if self._tracer.on:
            span = delivery_span(self._tracer, self._topology, message, history, reading.command)
        faults = reading.faults
        if ignores_reply_to(message):
            faults = {**faults, "reply_to": IGNORED}
        if more_faults:
            faults = {**faults, **more_faults}
        return Read(message, history, reading.command, faults, address_of(message), span)
