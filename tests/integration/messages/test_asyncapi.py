"""The AsyncAPI document: well-formed, and held to what the worker reads."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import jsonschema_rs
import pytest
from pydantic import ValidationError

from shared.amqp.keys import CANCEL_KEY
from shared.amqp.topology import RETRY_DELAYS
from shared.commands import CANCEL_TYPE, MAX_BODY, CancelCommand
from shared.limits import BIGINT_MAX, MAX_TEXT
from shared.states import DeadReason
from tests.support.repository.documents import DEAD_LETTERS, MESSAGES, ROOT
from worker.messages.command_reader import INFORMATION

Json = dict[str, Any]

DOCUMENT: Final = ROOT / "worker" / "asyncapi.json"
# A pattern too: the draft of JSON Schema that AsyncAPI builds on has no format for UUIDs.
UUID_PATTERN: Final = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
ID: Final = "0b7c1c1e-5d43-4c0f-9f0e-3f1f6a1d2c3b"
# The names that AsyncAPI 3.0 and version 0.3.0 of its AMQP bindings know at each place of ours,
# those that they require first.
KNOWN: Final[dict[str, tuple[set[str], set[str]]]] = {
    "": ({"asyncapi", "info"}, {"defaultContentType", "channels", "operations", "components"}),
    "info": ({"title", "version"}, {"description", "tags", "contact", "license"}),
    "channels.*": (
        set(),
        {"address", "title", "description", "messages", "bindings", "summary", "parameters"},
    ),
    "channels.events.parameters.*": (set(), {"enum", "default", "description", "examples"}),
    "channels.commands.bindings.amqp": (set(), {"is", "exchange", "queue", "bindingVersion"}),
    "channels.events.bindings.amqp": (set(), {"is", "exchange", "queue", "bindingVersion"}),
    "channels.commands.bindings.amqp.exchange": (
        set(),
        {"name", "type", "durable", "autoDelete", "vhost"},
    ),
    "channels.events.bindings.amqp.exchange": (
        set(),
        {"name", "type", "durable", "autoDelete", "vhost"},
    ),
    "operations.*": (
        {"action", "channel"},
        {"title", "summary", "description", "messages", "bindings", "reply"},
    ),
    "operations.receiveCancel.reply": (set(), {"address", "channel", "messages"}),
    "operations.receiveCancel.reply.address": ({"location"}, {"description"}),
    "operations.*.bindings.amqp": (
        set(),
        {"expiration", "userId", "priority", "deliveryMode", "mandatory", "ack", "bindingVersion"},
    ),
    "components": (set(), {"messages", "schemas"}),
    "components.messages.*": (
        set(),
        {
            *("name", "title", "summary", "description", "contentType", "payload", "headers"),
            *("correlationId", "bindings", "examples"),
        },
    ),
    "components.messages.*.bindings.amqp": (
        set(),
        {"contentEncoding", "messageType", "bindingVersion"},
    ),
    "components.messages.*.examples.*": (set(), {"name", "summary", "payload", "headers"}),
}


def document() -> Json:
    read: Json = json.loads(DOCUMENT.read_text())
    return read


def _at(value: Any, path: str) -> Iterator[Any]:
    """What is at `path`, where * stands for each."""
    step, _, rest = path.partition(".")
    if not step:
        yield value
    elif step == "*":
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _at(inner, rest)
    else:
        yield from _at(value[step], rest)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _message() -> Json:
    message: Json = document()["components"]["messages"]["cancel"]
    return message


def _payload() -> jsonschema_rs.Draft7Validator:
    # What AsyncAPI's schemas are a superset of.
    schema = document()["components"]["schemas"]["CancelCommand"]
    return jsonschema_rs.Draft7Validator(schema, validate_formats=True)


def _is_command(body: str) -> bool:
    try:
        CancelCommand.model_validate_json(body)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("path", KNOWN, ids=lambda path: path or "document")
def test_all_that_is_required_is_there_and_nothing_unknown(path: str) -> None:
    required, allowed = KNOWN[path]
    found = list(_at(document(), path))
    assert found

    for place in found:
        names = {name for name in place if not re.fullmatch(r"x-[\w.-]+", name)}
        assert required <= names <= required | allowed


def test_every_reference_leads_somewhere() -> None:
    references = list(_references(document()))
    assert len(references) >= 8

    for reference in references:
        assert reference.startswith("#/")
        (target,) = _at(document(), reference.removeprefix("#/").replace("/", "."))
        assert target


def test_an_operation_names_its_messages_by_its_channel() -> None:
    """AsyncAPI forbids to name them where they are defined."""
    for operation in document()["operations"].values():
        for each in (operation, *([operation["reply"]] if "reply" in operation else [])):
            for message in each["messages"]:
                assert message["$ref"].startswith(f"{each['channel']['$ref']}/messages/")


def test_it_says_where_and_how_to_publish() -> None:
    channel = document()["channels"]["commands"]
    operation = document()["operations"]["receiveCancel"]

    assert channel["address"] == CANCEL_KEY
    assert channel["bindings"]["amqp"]["exchange"] == {
        "name": "runs.commands",
        "type": "topic",
        "durable": True,
        "autoDelete": False,
    }
    assert operation["action"] == "receive"
    bindings = operation["bindings"]["amqp"]
    assert (bindings["deliveryMode"], bindings["mandatory"]) == (2, True)
    assert _message()["bindings"]["amqp"]["messageType"] == CANCEL_TYPE
    assert all(f"{delay} s" in _message()["description"] for delay in RETRY_DELAYS)


def test_the_payload_is_the_model_that_the_worker_reads() -> None:
    model = CancelCommand.model_json_schema()
    model["properties"]["command_id"]["pattern"] = UUID_PATTERN

    assert document()["components"]["schemas"]["CancelCommand"] == model


def test_the_limits_are_those_of_the_worker() -> None:
    description = _message()["description"]
    texts = _message()["x-amqp-properties"]["properties"]

    assert f"at most {MAX_BODY} bytes" in description
    assert ", ".join(f"`{name}`" for name in INFORMATION) in description
    for name in ("message_id", "correlation_id", "user_id"):
        assert texts[name]["maxLength"] == MAX_TEXT


def test_the_version_is_that_of_the_project() -> None:
    assert document()["info"]["version"] == version("run-cancel")


def test_the_properties_are_a_json_schema() -> None:
    properties = jsonschema_rs.Draft7Validator(
        _message()["x-amqp-properties"], validate_formats=True
    )

    assert properties.is_valid({"type": CANCEL_TYPE})
    assert properties.is_valid({"type": CANCEL_TYPE, "delivery_mode": 2, "message_id": ID})
    assert not properties.is_valid({"message_id": ID})
    assert not properties.is_valid({"type": CANCEL_TYPE, "delivery_mode": 1})
    assert properties.is_valid({"type": CANCEL_TYPE, "message_id": "1"})
    assert not properties.is_valid({"type": CANCEL_TYPE, "message_id": 1})


def test_the_examples_are_commands() -> None:
    examples = _message()["examples"]
    assert len(examples) >= 3

    for example in examples:
        assert _payload().is_valid(example["payload"])
        assert _is_command(json.dumps(example["payload"]))


@pytest.mark.parametrize(
    "fields",
    [
        *({}, {"unknown": [1, {"a": None}]}, {"command_id": ID.upper()}),
        *({"command_id": None}, {"command_id": 1}, {"command_id": "4711"}, {"command_id": ""}),
        *({"run_id": BIGINT_MAX}, {"run_id": BIGINT_MAX + 1}, {"run_id": 0}, {"run_id": -1}),
        *({"run_id": None}, {"run_id": "1"}, {"run_id": 1.5}, {"run_id": True}),
        *({"reason": None}, {"reason": ""}, {"reason": "\N{GRINNING FACE}" * 255}),
        *({"reason": "r" * 256}, {"reason": "a\0b"}, {"reason": 1}, {"reason": "line\nline"}),
        *({"requested_by": "r" * 255}, {"requested_by": "r" * 256}, {"requested_by": "\0"}),
        *({"requested_at": None}, {"requested_at": "2026-01-02T03:04:05Z"}),
        *({"requested_at": "2026-01-02T03:04:05.678+02:00"}, {"requested_at": 1767323045}),
        *({"requested_at": "2026-01-02T03:04:05"}, {"requested_at": "yesterday"}),
        *({"requested_at": "2026-02-30T03:04:05Z"}, {"requested_at": ""}),
        *({"force": True}, {"force": None}, {"force": "true"}, {"force": 1}),
        *({"grace_seconds": 0}, {"grace_seconds": 600}, {"grace_seconds": 2.5}),
        *({"grace_seconds": None}, {"grace_seconds": 600.1}, {"grace_seconds": -1}),
        *({"grace_seconds": "1"}, {"grace_seconds": True}),
    ],
    ids=lambda fields: json.dumps(fields)[:40],
)
def test_the_schema_takes_what_the_worker_takes(fields: Json) -> None:
    body = {"command_id": ID, "run_id": 1, **fields}

    assert _payload().is_valid(body) == _is_command(json.dumps(body))


@pytest.mark.parametrize(
    "body", [{"command_id": ID}, {"run_id": 1}, {}, [], None, "command", 1], ids=json.dumps
)
def test_neither_takes_what_is_no_command(body: object) -> None:
    assert not _payload().is_valid(body)
    assert not _is_command(json.dumps(body))


@pytest.mark.parametrize(
    ("field", "value"), [("run_id", 1.0), ("requested_at", "2016-12-31T23:59:60Z")]
)
def test_what_a_schema_cannot_refuse_is_told_to_people(field: str, value: object) -> None:
    body = {"command_id": ID, "run_id": 1, field: value}

    assert _payload().is_valid(body)
    assert not _is_command(json.dumps(body))
    row, *_ = re.findall(rf"^\| `{field}` .*$", MESSAGES.read_text(), re.MULTILINE)
    assert "not `4711.0`" in row or "no leap second" in row


def test_a_looser_spelling_is_taken_though_it_is_not_promised() -> None:
    body = {"command_id": UUID(ID).hex, "run_id": 1}

    assert not _payload().is_valid(body)
    assert _is_command(json.dumps(body))


def test_every_reason_of_a_dead_letter_is_explained() -> None:
    reasons = [reason.value for reason in DeadReason]

    assert list(_message()["x-dead-letter-reasons"]) == reasons
    table = DEAD_LETTERS.read_text().partition("\n| reason | what")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == reasons


def test_the_command_prints_the_document_and_needs_nothing_for_that(tmp_path: Path) -> None:
    path = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}

    printed = subprocess.run(
        [sys.executable, "-m", "worker", "asyncapi"],
        cwd=tmp_path,
        env=path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert printed.stdout == DOCUMENT.read_text()
    assert printed.stderr == ""
