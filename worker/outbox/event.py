"""An event of the outbox as a message: a CloudEvent 1.0 in structured mode (CloudEvents, 3.1)."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from aio_pika import DeliveryMode, Message
from asyncpg import Record

from shared.events import CONTENT_TYPE, EventType, event_json


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


def reply_again(
    command_id: UUID, at: datetime, data: Mapping[str, Any], correlation_id: str | None
) -> Message:
    """The recorded outcome of a command that is repeated; its event may be gone."""
    kind, reply_id = EventType.CANCEL_SETTLED, str(command_id)
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
        correlation_id=correlation_id,
        message_id=reply_id,
        type=kind.cloud_type,
        timestamp=at,
    )
