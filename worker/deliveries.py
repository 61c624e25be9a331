"""From a delivered message to a command, and from a failed one to a retry or a dead letter.

What was delivered travels on unchanged: body bytes, type, ids. Our own notes go into headers.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractIncomingMessage, HeadersType
from pamqp import encode
from pydantic import ValidationError

from shared.commands import CANCEL_TYPE, GATEWAY_APP_ID, CancelCommand
from shared.states import Via
from worker.store import Origin

ATTEMPT: Final = "x-attempt"
FIRST_FAILURE: Final = "x-first-failure"
LAST_FAILURE: Final = "x-last-failure"
REASON: Final = "x-reason"
ERROR: Final = "x-error"
ORIGINAL_EXCHANGE: Final = "x-original-exchange"
ORIGINAL_ROUTING_KEY: Final = "x-original-routing-key"
HEADERS_DROPPED: Final = "x-headers-dropped"

# Bytes. Headers travel in one frame, of 128 KiB unless configured otherwise, and ours must fit in
# as well: a copy that does not fit would cost the publishing connection, again and again.
_MAX_HEADERS: Final = 64 * 1024


class DeadReason(StrEnum):
    """Why a message is in the dead letters, for programs."""

    MALFORMED = "malformed"
    UNKNOWN_TYPE = "unknown_type"
    COMMAND_REUSED = "command_reused"
    UNKNOWN_RUN = "unknown_run"
    STOP_FAILED = "stop_failed"
    INTERNAL_ERROR = "internal_error"


class Undeliverable(Exception):
    """This message can never be carried out as it is."""

    def __init__(self, reason: DeadReason, error: str) -> None:
        super().__init__(error)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Failure:
    reason: DeadReason
    error: str


def parse(message: AbstractIncomingMessage) -> CancelCommand:
    """Read the command in `message`. Raises Undeliverable."""
    if message.type != CANCEL_TYPE:
        raise Undeliverable(
            DeadReason.UNKNOWN_TYPE, f"type is {message.type!r}, expected {CANCEL_TYPE!r}"
        )
    try:
        command = CancelCommand.model_validate_json(message.body)
    except ValidationError as error:
        raise Undeliverable(DeadReason.MALFORMED, _first_problem(error)) from None
    if message.message_id is not None and _uuid(message.message_id) != command.command_id:
        raise Undeliverable(DeadReason.MALFORMED, "message_id is not the command_id of the body")
    return command


def origin_of(message: AbstractIncomingMessage) -> Origin:
    """How the command came in, as far as the message says."""
    via = Via.REST if message.app_id == GATEWAY_APP_ID else Via.DIRECT
    return Origin(via=via, publisher=message.user_id)


def attempt_of(message: AbstractIncomingMessage) -> int:
    """Which attempt this delivery is, from 1. Our own count: brokers differ in theirs."""
    attempt = message.headers.get(ATTEMPT)
    return attempt if isinstance(attempt, int) and 1 <= attempt <= 1000 else 1


def unchanged(message: AbstractIncomingMessage) -> Message:
    """The same message, to be published elsewhere."""
    return _copy(message, carried(message.headers))


def for_retry(message: AbstractIncomingMessage, failure: Failure) -> Message:
    return _copy(
        message,
        {
            **carried(_without_deaths(message.headers)),
            **_failed(message, failure),
            ATTEMPT: attempt_of(message) + 1,
        },
    )


def for_dead_letters(message: AbstractIncomingMessage, failure: Failure) -> Message:
    return _copy(
        message,
        {
            **carried(_without_deaths(message.headers)),
            **_failed(message, failure),
            ATTEMPT: attempt_of(message),
        },
    )


def carried(headers: HeadersType) -> HeadersType:
    """`headers` if they can be sent on, else a note that they were dropped."""
    try:
        size = len(encode.field_table(dict(headers)))
    except (TypeError, ValueError, OverflowError, struct.error) as error:
        return {HEADERS_DROPPED: f"cannot be encoded: {error}"[:200]}
    return headers if size <= _MAX_HEADERS else {HEADERS_DROPPED: f"{size} bytes"}


def _failed(message: AbstractIncomingMessage, failure: Failure) -> HeadersType:
    now = datetime.now(UTC).isoformat()
    headers = message.headers
    return {
        REASON: failure.reason.value,
        ERROR: failure.error[:1000],
        FIRST_FAILURE: _text(headers, FIRST_FAILURE, now),
        LAST_FAILURE: now,
        ORIGINAL_EXCHANGE: _text(headers, ORIGINAL_EXCHANGE, message.exchange or ""),
        ORIGINAL_ROUTING_KEY: _text(headers, ORIGINAL_ROUTING_KEY, message.routing_key or ""),
    }


def _text(headers: Mapping[str, object], name: str, default: str) -> str:
    # Ours on a retried message; on a first delivery, whatever its publisher put there.
    value = headers.get(name)
    return value if isinstance(value, str) and len(value) <= 255 else default


def _without_deaths(headers: Mapping[str, object]) -> HeadersType:
    # RabbitMQ 3.10 takes x-death from a client for its own and counts on from it.
    return {
        name: value  # type: ignore[misc]  # as received, so a header value already
        for name, value in headers.items()
        if not name.startswith(("x-death", "x-first-death", "x-last-death", "x-delivery-count"))
    }


def _copy(message: AbstractIncomingMessage, headers: HeadersType) -> Message:
    return Message(
        message.body,
        headers=headers,
        content_type=_short(message.content_type),
        content_encoding=_short(message.content_encoding),
        delivery_mode=DeliveryMode.PERSISTENT,
        correlation_id=_short(message.correlation_id),
        message_id=_short(message.message_id),
        timestamp=message.timestamp,
        type=_short(message.type),
        app_id=_short(message.app_id),
    )


def _short(text: str | None) -> str | None:
    # Bytes that are no UTF-8 come in as replacement characters, which are longer.
    return None if text is None else text.encode()[:255].decode(errors="ignore")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(map(str, problem["loc"]))
    return f"{place}: {problem['msg']}" if place else problem["msg"]
