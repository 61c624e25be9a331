"""A dead letter as stored: the message, the reason, and what is known of what it asked for."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

from pydantic_core import to_json

from shared.limits import BIGINT_MAX, MAX_TEXT
from shared.states import DeadReason, Via
from worker.dead_letters.kinds import OF_PUBLISHER, is_registration
from worker.messages.conversion import publisher_headers
from worker.messages.delivery import Delivery
from worker.messages.headers import DELIVERY_COUNTS, History, HistoryReader
from worker.messages.json_body import object_in, storable
from worker.messages.reply_address import direct

_MAX_TEXT: Final = 1000
# Of the texts that lists and counts read from an index, whose entries are limited to 2,704 bytes.
_MAX_REASON: Final = 64
_MAX_USER: Final = 255
"""Bytes; RabbitMQ has no longer names."""
# Reasons for messages that were valid.
_OF_VALID: Final = frozenset(
    {
        DeadReason.COMMAND_REUSED,
        DeadReason.RUN_CONFLICT,
        DeadReason.UNKNOWN_RUN,
        DeadReason.STOP_FAILED,
        DeadReason.HOST_ABANDONED,
        DeadReason.INTERNAL_ERROR,
    }
)


@dataclass(frozen=True, slots=True)
class Letter:
    """One row of `dead_letters`, in the order of `KEEP`."""

    letter_key: str
    digest: bytes
    reason: str
    error: str
    attempts: int
    first_failed_at: datetime | None
    last_failed_at: datetime | None
    exchange: str
    routing_key: str
    via: Via
    publisher: str | None
    command_id: UUID | None
    run_id: int | None
    requested_by: str | None
    body: bytes
    message_id: str | None
    correlation_id: str | None
    type: str | None
    app_id: str | None
    content_type: str | None
    content_encoding: str | None
    headers: str
    replays: int
    replay_of: int | None
    may_be_known: bool
    is_valid: bool
    full_size: int | None
    reply_to: str | None


def read_letter(message: Delivery, reader: HistoryReader, queues: Sequence[str]) -> Letter:
    """Make a letter from any message in the dead letter queue. `queues` are ours."""
    history = reader.read(message)
    said = object_in(message.body) or {}
    reason, error, exchange, routing_key = _why(message, history, queues)
    # There, these are unknown fields.
    registers = is_registration(routing_key)
    return Letter(
        letter_key=history.letter or uuid4().hex,
        digest=_digest(message, history),
        reason=_text(reason, _MAX_REASON),
        error=_text(error),
        attempts=history.attempt,
        first_failed_at=_time(history.first_failure),
        last_failed_at=_time(history.last_failure) or datetime.now(UTC),
        exchange=_text(exchange),
        routing_key=_text(routing_key),
        via=history.via,
        publisher=_user(history.publisher),
        command_id=None if registers else _uuid(said.get("command_id")),
        run_id=_run_id(said.get("run_id")),
        requested_by=None if registers else _maybe(said.get("requested_by"), MAX_TEXT),
        body=message.body,
        message_id=_maybe(message.message_id),
        correlation_id=_maybe(message.correlation_id),
        type=_maybe(message.type),
        app_id=_maybe(message.app_id),
        content_type=_maybe(message.content_type),
        content_encoding=_maybe(message.content_encoding),
        headers=_as_json(publisher_headers(message.headers)),
        replays=history.replays,
        replay_of=history.replay_of,
        may_be_known=history.letter is None and bool(message.redelivered),
        is_valid=reason in _OF_VALID,
        full_size=history.body_size,
        reply_to=direct(message.reply_to),
    )


def _why(message: Delivery, history: History, queues: Sequence[str]) -> tuple[str, str, str, str]:
    """Reason, error, and the exchange and routing key to which it was first published."""
    if history.letter is not None and history.reason is not None:
        return history.reason, history.error or "", history.exchange, history.routing_key
    match message.headers.get("x-death"):
        case [{"reason": str(reason), "queue": str(queue), **death}, *_]:
            keys = death.get("routing-keys")
            key = keys[0] if isinstance(keys, list) and keys else history.routing_key
            exchange, key = str(death.get("exchange", "")), str(key)
            if (history.exchange, history.routing_key) != (message.exchange, message.routing_key):
                # Recorded by the worker that sent it on; the broker only knows the last hop.
                exchange, key = history.exchange, history.routing_key
            if reason == "delivery_limit":
                error = f"queue {queue}: every worker that received it ended before settling it"
                return DeadReason.DELIVERY_LIMIT, error, exchange, key
            if queue in queues and (lost := _lost_in(queue, reason, death)):
                return reason, lost, exchange, key
            return DeadReason.FOREIGN, f"dead-lettered by queue {queue}: {reason}", exchange, key
    return (
        DeadReason.FOREIGN,
        "published to the dead letters without a trusted reason",
        history.exchange,
        history.routing_key,
    )


def _lost_in(queue: str, reason: str, death: Mapping[Any, Any]) -> str | None:
    """Why one of our queues, which has no limit of its own, did not keep a message."""
    if reason == DeadReason.MAXLEN:
        return f"queue {queue}: dropped because a policy limits the length of the queue"
    if reason != DeadReason.EXPIRED:
        return None
    if (own := death.get("original-expiration")) is not None:
        # A policy with a shorter message-ttl leaves the same trace.
        return f"queue {queue}: no worker took it within {OF_PUBLISHER}, {own} ms, or within less"
    return f"queue {queue}: no worker took it within the message-ttl that a policy sets"


def _digest(message: Delivery, history: History) -> bytes:
    properties = (message.message_id, message.correlation_id, message.type, message.app_id)
    # A redelivery is the same letter.
    headers = {
        name: value for name, value in message.headers.items() if name not in DELIVERY_COUNTS
    }
    size = [] if history.body_size is None else [history.body_size]
    described = json.dumps([properties, headers, *size], default=str, sort_keys=True)
    return hashlib.sha256(described.encode(errors="replace") + message.body).digest()


def _as_json(headers: Mapping[str, Any]) -> str:
    return to_json(headers, bytes_mode="hex", inf_nan_mode="null", serialize_unknown=True).decode()


def _text(value: object, most: int = _MAX_TEXT) -> str:
    return storable(str(value)[:most])


def _maybe(value: object, most: int = _MAX_TEXT) -> str | None:
    return _text(value, most) if isinstance(value, str) and value else None


def _user(name: str | None) -> str | None:
    text = _maybe(name)
    return None if text is None else text.encode()[:_MAX_USER].decode(errors="ignore")


def _time(text: str | None) -> datetime | None:
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time if time.tzinfo else None


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _run_id(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= BIGINT_MAX:
        return value
    return None
