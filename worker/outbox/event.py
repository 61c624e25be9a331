"""An event of the outbox as a message: a CloudEvent 1.0 in structured mode (CloudEvents, 3.1)."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aio_pika import DeliveryMode, Message
from asyncpg import Record

from shared.events import CONTENT_TYPE, EventType, event_json
from worker.messages.reply_address import short


def message_of(event: Record) -> Message:
    """The message of an event, identical each time that it is published."""
    return Message(
        _body(event),
        content_type=CONTENT_TYPE,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=str(event["event_id"]),
        type=EventType(event["type"]).cloud_type,
        timestamp=event["at"],
    )


def reply_of(event: Record) -> Message:
    """The same event, for the publisher of its command."""
    return _reply(
        _body(event),
        str(event["event_id"]),
        EventType(event["type"]),
        event["at"],
        event["correlation_id"],
    )


def settled_again(settled: Record, correlation_id: str | None) -> Message:
    """The recorded outcome of a command that is repeated; its event may be gone."""
    return _again(
        EventType.CANCEL_SETTLED,
        str(settled["command_id"]),
        settled["finished_at"],
        json.loads(settled["data"]),
        correlation_id,
    )


def rejected_again(letter: Record, correlation_id: str | None) -> Message:
    """The waiting dead letter of a command that is repeated."""
    return _again(
        EventType.CANCEL_REJECTED,
        f"letter-{letter['letter_id']}",
        letter["arrived_at"],
        json.loads(letter["data"]),
        correlation_id,
    )


def _again(
    kind: EventType,
    reply_id: str,
    at: datetime,
    data: Mapping[str, Any],
    correlation_id: str | None,
) -> Message:
    body = event_json(kind, reply_id, data["run_id"], at, data)
    return _reply(body, reply_id, kind, at, correlation_id)


def _body(event: Record) -> bytes:
    number = event["event_id"]
    # 0: a rejected message that names no run.
    run_id = event["run_id"] or None
    data = json.loads(event["data"])
    return event_json(
        EventType(event["type"]), str(number), run_id, event["at"], data, number=number
    )


def _reply(
    body: bytes, reply_id: str, kind: EventType, at: datetime, correlation_id: str | None
) -> Message:
    return Message(
        body,
        content_type=CONTENT_TYPE,
        delivery_mode=DeliveryMode.NOT_PERSISTENT,
        correlation_id=short(correlation_id),
        message_id=reply_id,
        type=kind.cloud_type,
        timestamp=at,
    )
