"""An event of the outbox as a message: a CloudEvent 1.0 in structured mode (CloudEvents, 3.1)."""

import json
from typing import Final

from aio_pika import DeliveryMode, Message
from asyncpg import Record
from pydantic_core import to_json

CONTENT_TYPE: Final = "application/cloudevents+json"
_SOURCE: Final = "/run-cancel"


def message_of(event: Record) -> Message:
    """The message of an event, identical each time that it is published."""
    kind, number = f"ci.{event['type']}.v1", str(event["event_id"])
    body = {
        "specversion": "1.0",
        "id": number,
        "source": _SOURCE,
        "type": kind,
        "subject": str(event["run_id"]),
        "time": event["at"],
        # Higher for later events of the same run, with gaps.
        "sequence": number,
        "datacontenttype": "application/json",
        "data": json.loads(event["data"]),
    }
    return Message(
        to_json(body),
        content_type=CONTENT_TYPE,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=number,
        type=kind,
        timestamp=event["at"],
    )
