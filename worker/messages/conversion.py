"""From a delivered message to a command, and from a failed message to a retry or a dead letter.

Body bytes, type and ids are kept unchanged. The history goes into headers.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from aio_pika import DeliveryMode, Message
from aio_pika.abc import HeadersType
from pamqp import encode
from pydantic import ValidationError

from shared.commands import CANCEL_TYPE, MAX_BODY
from shared.errors import RunCancelError
from shared.states import DeadReason
from worker.messages.command_reader import Reading, read
from worker.messages.delivery import Delivery
from worker.messages.headers import BROKER_HEADERS, Header, History
from worker.messages.json_body import first_problem
from worker.messages.reply_address import direct, ignores_reply_to, short

_OURS: Final = frozenset(Header) - {Header.HEADERS_DROPPED, Header.REPLY_TO_IGNORED}
# Bytes. Headers must fit into one frame, 128 KiB by default, together with ours. A copy that does
# not fit would close the publishing connection, again and again.
MAX_HEADERS: Final = 64 * 1024
MAX_HEADER_VALUES: Final = 1000
"""Maximum number of values in headers, including those in tables and arrays."""


class Undeliverable(RunCancelError):
    """This message is nothing that can be carried out."""

    def __init__(self, reason: DeadReason, error: str) -> None:
        super().__init__(error)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Failure:
    reason: DeadReason
    error: str


def parse(message: Delivery, history: History) -> Reading:
    """Read the command in `message`. Raises Undeliverable."""
    return read_as(message.type, message.body, history.body_size)


def read_as(kind: str | None, body: bytes, full_size: int | None = None) -> Reading:
    """Read `body`, which came in a message of the type `kind`. Raises Undeliverable.

    `full_size` is the original size, if `body` is only the head.
    """
    check(CANCEL_TYPE, "a command", kind, full_size)
    try:
        return read(body)
    except ValidationError as error:
        raise Undeliverable(DeadReason.MALFORMED, first_problem(error)) from None


def check(wanted: str, what: str, kind: str | None, full_size: int | None) -> None:
    """Raise Undeliverable unless a message of the type `kind` is `what` its queue is for.

    Its type is to be `wanted`. `full_size` is as in `read_as`.
    """
    if kind != wanted:
        family = (kind or "").rpartition(".v")[0]
        known = family == wanted.rpartition(".v")[0]
        raise Undeliverable(
            DeadReason.UNKNOWN_VERSION if known else DeadReason.UNKNOWN_TYPE,
            f"type is {kind!r}, expected {wanted!r}",
        )
    if full_size is not None:
        raise Undeliverable(
            DeadReason.MALFORMED,
            f"the body has {full_size} bytes; {what} has at most {MAX_BODY}",
        )


def plain_copy(message: Delivery, history: History) -> Message:
    """The same message, to be published later."""
    return _copy(message, history, None)


def for_retry(message: Delivery, history: History, failure: Failure, user: str) -> Message:
    return _copy(message, replace(_failed(history, failure), attempt=history.attempt + 1), user)


def for_dead_letters(message: Delivery, history: History, failure: Failure, user: str) -> Message:
    return _copy(message, replace(_failed(history, failure), letter=uuid4().hex), user)


def sendable_headers(headers: HeadersType) -> HeadersType:
    """`headers` if they can be published, else a note that they were dropped."""
    try:
        size = len(encode.field_table(dict(headers)))
    except (TypeError, ValueError, OverflowError, struct.error) as error:
        return {Header.HEADERS_DROPPED.value: f"cannot be encoded: {error}"[:200]}
    if size > MAX_HEADERS:
        return {Header.HEADERS_DROPPED.value: f"{size} bytes"}
    if (values := _values(headers)) > MAX_HEADER_VALUES:
        return {Header.HEADERS_DROPPED.value: f"{values} values"}
    return headers


def _values(of: object) -> int:
    match of:
        case Mapping():
            return sum(1 + _values(value) for value in of.values())
        case list():
            return sum(1 + _values(value) for value in of)
    return 0


def publisher_headers(headers: Mapping[str, object]) -> HeadersType:
    """The headers that the publisher set: neither ours nor the broker's.

    RabbitMQ 3.10 accepts x-death from a client and continues its counts.
    """
    return {
        name: value  # type: ignore[misc]  # as received, so a header value already
        for name, value in headers.items()
        if name not in _OURS and not name.startswith(BROKER_HEADERS)
    }


def _failed(history: History, failure: Failure) -> History:
    now = datetime.now(UTC).isoformat()
    return replace(
        history,
        reason=failure.reason.value,
        error=failure.error[:1000],
        first_failure=history.first_failure or now,
        last_failure=now,
    )


def _copy(message: Delivery, history: History, user: str | None) -> Message:
    ignored = {Header.REPLY_TO_IGNORED.value: True} if ignores_reply_to(message) else {}
    return Message(
        message.body,
        headers={
            **sendable_headers(publisher_headers(message.headers)),
            **ignored,
            **history.headers(),
        },
        content_type=short(message.content_type),
        content_encoding=short(message.content_encoding),
        delivery_mode=DeliveryMode.PERSISTENT,
        correlation_id=short(message.correlation_id),
        # Any other one would be dropped at the next step anyway.
        reply_to=direct(message.reply_to),
        message_id=short(message.message_id) or _command_id(message.body),
        timestamp=message.timestamp,
        type=short(message.type),
        app_id=short(message.app_id),
        # This marks the history as ours.
        user_id=user,
    )


def _command_id(body: bytes) -> str | None:
    """The message id for a message without one, for which aiormq 7.2 would generate a new one."""
    try:
        return str(read(body).command.command_id)
    except ValidationError:
        return None
