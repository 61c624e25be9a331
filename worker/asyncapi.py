"""The AsyncAPI document of the cancel command, made from the model that the worker reads it with.

It is for services that publish commands, and so does not name what is behind the exchange.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, Final

from shared.amqp.topology import CANCEL_KEY, RETRY_DELAYS, Topology
from shared.commands import CANCEL_TYPE, MAX_BODY, MAX_TEXT, CancelCommand
from shared.states import DeadReason
from worker.messages.command_reader import INFORMATION

Json = dict[str, Any]

# Of the AMQP bindings, which have versions of their own.
_BINDING: Final[Mapping[str, str]] = {"bindingVersion": "0.3.0"}
_ID: Final = "5f0c6f4e-8d0b-4a53-9a53-0c1f0d6c2b11"
# A pattern too: the draft of JSON Schema that AsyncAPI builds on has no format for UUIDs.
_UUID: Final[Mapping[str, str]] = {
    "type": "string",
    "format": "uuid",
    "pattern": "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
}
_JSON: Final = "application/json"
_PERSISTENT: Final = 2

REASONS: Final[Mapping[DeadReason, str]] = {
    DeadReason.MALFORMED: "The body is not a command: it is not JSON or too large, or a required "
    "or strict field is missing, invalid or duplicated.",
    DeadReason.UNKNOWN_TYPE: "The message has no type, or one that is not ours.",
    DeadReason.UNKNOWN_VERSION: "The type is a cancel command with a major version that the "
    "worker does not know.",
    DeadReason.COMMAND_REUSED: "The `command_id` is on record for another run.",
    DeadReason.UNKNOWN_RUN: "The run does not exist, even after the last retry.",
    DeadReason.STOP_FAILED: "Processes of the run survived SIGKILL, or may have, or the command "
    "was taken up five times and no stop ended; the run stays `canceling`.",
    DeadReason.HOST_ABANDONED: "The run was claimed while its host was being abandoned.",
    DeadReason.INTERNAL_ERROR: "It failed for another reason, even after the last retry.",
    DeadReason.DELIVERY_LIMIT: "It was delivered too often without a result, for example because "
    "it kills its worker.",
    DeadReason.FOREIGN: "Another application put it into the dead letters.",
}

EXAMPLES: Final[Mapping[str, tuple[str, CancelCommand]]] = {
    "least": (
        "The required fields only.",
        CancelCommand.model_validate_json(f'{{"command_id": "{_ID}", "run_id": 4711}}'),
    ),
    "usual": (
        "With a reason and a requester, shown with the run.",
        CancelCommand.model_validate_json(
            f'{{"command_id": "{_ID}", "run_id": 4711, "reason": "superseded by a newer commit",'
            ' "requested_by": "merge-queue", "requested_at": "2026-01-02T03:04:05Z",'
            ' "grace_seconds": 30}'
        ),
    ),
    "force": (
        "No grace period: SIGKILL at once, even if a stop is in progress.",
        CancelCommand.model_validate_json(
            f'{{"command_id": "{_ID}", "run_id": 4711, "force": true}}'
        ),
    ),
}


def document() -> Json:
    """What to publish and where, as AsyncAPI 3.0, with the names of an installation by itself."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Run cancellation",
            "version": version("run-cancel"),
            "description": "Cancel CI runs with a message. The operation is that of the worker, "
            "which receives what other services publish.",
        },
        "defaultContentType": _JSON,
        "channels": {"commands": _channel(Topology())},
        "operations": {
            "receiveCancel": {
                "action": "receive",
                "channel": {"$ref": "#/channels/commands"},
                "summary": "Stop a run, prove that it is stopped, and record it.",
                "description": "Use publisher confirms: only a confirmed command is stored. "
                "Publish it as mandatory: then a message that no queue takes is returned, instead "
                "of confirmed and dropped. If there is no confirm, publish the same command again "
                "with the same `command_id`: repeats change nothing.",
                "messages": [{"$ref": "#/channels/commands/messages/cancel"}],
                "bindings": {
                    "amqp": {
                        "deliveryMode": _PERSISTENT,
                        "mandatory": True,
                        "ack": True,
                        **_BINDING,
                    }
                },
            }
        },
        "components": {
            "messages": {"cancel": _message()},
            "schemas": {CancelCommand.__name__: _payload()},
        },
    }


def _channel(topology: Topology) -> Json:
    return {
        "address": CANCEL_KEY,
        "title": "Commands",
        "description": "Workers declare the exchange; publishers declare nothing. If "
        "`CANCEL_TOPOLOGY_PREFIX` is set, its name begins with it.",
        "messages": {"cancel": {"$ref": "#/components/messages/cancel"}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {
                    "name": topology.commands,
                    "type": "topic",
                    "durable": True,
                    "autoDelete": False,
                },
                **_BINDING,
            }
        },
    }


def _message() -> Json:
    seconds = ", ".join(f"{delay} s" for delay in RETRY_DELAYS)
    return {
        "name": CANCEL_TYPE,
        "title": "Cancel a run",
        "summary": "Names one run, and no process, host or path.",
        "description": "Unknown fields are ignored, so that publishers may be newer than workers. "
        f"A fault in an informational field ({_names(INFORMATION)}) never blocks a command: text "
        "that is too long is cut, other invalid values are dropped, and the fault is stored with "
        "the cancellation. "
        f"The body has at most {MAX_BODY} bytes; of a larger one only the beginning is kept. "
        "Any other fault makes the message a dead letter at once: a body that is not a command "
        f"(`{DeadReason.MALFORMED}`), another type (`{DeadReason.UNKNOWN_TYPE}`), another major "
        f"version of this type (`{DeadReason.UNKNOWN_VERSION}`). An unknown run, or a failure of "
        f"the worker, is retried after {seconds}.",
        "contentType": _JSON,
        "payload": {"$ref": f"#/components/schemas/{CancelCommand.__name__}"},
        "bindings": {"amqp": {"messageType": CANCEL_TYPE, **_BINDING}},
        "examples": [
            {
                "name": name,
                "summary": summary,
                "payload": command.model_dump(mode="json", exclude_defaults=True),
            }
            for name, (summary, command) in EXAMPLES.items()
        ],
        # The bindings have no place for these.
        "x-amqp-properties": _properties(),
        "x-dead-letter-reasons": {reason.value: REASONS[reason] for reason in DeadReason},
    }


def _names(fields: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in fields)


def _payload() -> Json:
    schema = CancelCommand.model_json_schema()
    schema["properties"]["command_id"] |= _UUID
    return schema


def _properties() -> Json:
    """The message's AMQP properties, as a JSON Schema."""
    text = {"type": "string", "maxLength": MAX_TEXT}
    return {
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"const": CANCEL_TYPE},
            "delivery_mode": {
                "const": _PERSISTENT,
                "description": "Persistent. A transient message is accepted, but lost when the "
                "broker restarts.",
            },
            "content_type": {"const": _JSON, "description": "For tools; the worker ignores it."},
            "message_id": {
                **text,
                "description": "For tools, by convention the `command_id`; the worker reads the id "
                "from the body.",
            },
            "correlation_id": {**text, "description": "Appears in the worker's log."},
            "user_id": {
                **text,
                "description": "The broker user of the publishing connection, recorded as the "
                "publisher. The broker rejects any other. Without it, the publisher is unknown.",
            },
        },
    }
