"""The dead letter of a failed stop, made from the stored message of its command."""

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from aio_pika import DeliveryMode, Message
from asyncpg import Record
from pamqp.commands import Basic

from shared.amqp.keys import CANCEL_KEY
from shared.amqp.topology import Topology
from shared.commands import CANCEL_TYPE, CancelCommand
from shared.states import DeadReason, Via
from worker.evidence import why_failed
from worker.messages.headers import Header, History
from worker.messages.kept_header import properties_in

_ASKED: Final = tuple(CancelCommand.model_fields)


def dead_letter_message(
    event: Record, topology: Topology, user: str
) -> tuple[bytes, Basic.Properties]:
    """Body and properties, to be published as `user`. Identical each time."""
    command = json.loads(event["data"])
    at = event["at"].isoformat()
    if event["message_header"] is None:
        body, properties = _from_record(command, topology)
    else:
        body, properties = event["message_body"], properties_in(event["message_header"])
    # Another worker may have consumed the command.
    properties.user_id = user
    headers: dict[str, Any] = dict(properties.headers or {})
    headers.setdefault(Header.FIRST_FAILURE.value, at)
    properties.headers = headers | {
        Header.LAST_FAILURE.value: at,
        Header.REASON.value: DeadReason.STOP_FAILED.value,
        Header.ERROR.value: why_failed(command["evidence"])[:1000],
        Header.LETTER.value: UUID(command["letter"]).hex,
    }
    return body, properties


def _from_record(command: Mapping[str, Any], topology: Topology) -> tuple[bytes, Basic.Properties]:
    """A message like that of the command, which an older version did not store."""
    said = CancelCommand.model_validate_json(json.dumps({name: command[name] for name in _ASKED}))
    history = History(
        via=Via(command["via"]),
        publisher=command["publisher"],
        exchange=topology.commands,
        routing_key=CANCEL_KEY,
    )
    message = Message(
        said.model_dump_json().encode(),
        headers=history.headers(),
        content_type="application/json",
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=str(said.command_id),
        type=CANCEL_TYPE,
    )
    return message.body, message.properties
