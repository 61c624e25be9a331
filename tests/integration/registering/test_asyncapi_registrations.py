"""The AsyncAPI document, held to what the worker reads of a registration."""

import json
from typing import Any, Final

import jsonschema_rs
import pytest

from shared.amqp.keys import QUEUED_KEY
from shared.amqp.topology import RETRY_DELAYS
from shared.commands import MAX_BODY
from shared.limits import BIGINT_MAX
from shared.registrations import QUEUED_TYPE
from tests.support.repository.documents import ROOT
from worker.messages.conversion import Undeliverable
from worker.registering.message import QueuedRun, read_registration

Json = dict[str, Any]

DOCUMENT: Final[Json] = json.loads((ROOT / "worker" / "asyncapi.json").read_text())
MESSAGE: Final[Json] = DOCUMENT["components"]["messages"]["register"]
SCHEMA: Final[Json] = DOCUMENT["components"]["schemas"]["QueuedRun"]
PAYLOAD: Final = jsonschema_rs.Draft7Validator(SCHEMA, validate_formats=True)


def _is_registration(body: Json) -> bool:
    try:
        read_registration(QUEUED_TYPE, json.dumps(body).encode())
    except Undeliverable:
        return False
    return True


def _inlined(value: Any, definitions: Json) -> Any:
    """`value` with what its references name in their places."""
    if isinstance(value, list):
        return [_inlined(inner, definitions) for inner in value]
    if not isinstance(value, dict):
        return value
    fields = {name: _inlined(inner, definitions) for name, inner in value.items()}
    if reference := fields.pop("$ref", None):
        return {**definitions[reference.removeprefix("#/$defs/")], **fields}
    return fields


def test_it_says_where_and_how_to_publish() -> None:
    channel = DOCUMENT["channels"]["registrations"]
    operation = DOCUMENT["operations"]["receiveRegistration"]

    assert channel["address"] == QUEUED_KEY
    assert channel["bindings"] == DOCUMENT["channels"]["commands"]["bindings"]
    assert operation["action"] == "receive"
    assert operation["channel"] == {"$ref": "#/channels/registrations"}
    assert MESSAGE["bindings"]["amqp"]["messageType"] == QUEUED_TYPE
    assert MESSAGE["x-amqp-properties"]["properties"]["type"]["const"] == QUEUED_TYPE
    assert f"at most {MAX_BODY} bytes" in MESSAGE["description"]
    assert ", ".join(f"{delay} s" for delay in RETRY_DELAYS) in MESSAGE["description"]


def test_the_payload_is_the_model_that_the_worker_reads() -> None:
    model = QueuedRun.model_json_schema()
    definitions = model.pop("$defs")

    assert _inlined(model, definitions) == SCHEMA


def test_the_examples_are_registrations() -> None:
    examples = [example["payload"] for example in MESSAGE["examples"]]
    assert len(examples) >= 3

    for payload in examples:
        assert PAYLOAD.is_valid(payload)
        assert _is_registration(payload)


@pytest.mark.parametrize(
    "fields",
    [
        *({}, {"unknown": [1]}),
        *({"run_id": BIGINT_MAX}, {"run_id": BIGINT_MAX + 1}, {"run_id": 0}, {"run_id": "1"}),
        *({"grace_seconds": None}, {"grace_seconds": 600}, {"grace_seconds": 601}),
        *({"stop_signal": "SIGINT"}, {"stop_signal": "SIGKILL"}, {"stop_signal": None}),
        *({"stop_scope": "leader"}, {"stop_scope": "all"}, {"stop_scope": None}),
        *({"leftovers": "keep"}, {"leftovers": "kill"}, {"leftovers": None}),
        *({"labels": {}}, {"labels": None}, {"labels": []}, {"labels": {"a": 1}}),
        *({"labels": {"a": ""}}, {"labels": {"": "a"}}, {"labels": {"a:b": "c"}}),
        *({"labels": {"a": "b:c"}}, {"labels": {"a": "\0"}}, {"labels": {"a\0": "b"}}),
        *({"labels": {"k" * 63: "v" * 255}}, {"labels": {"k" * 64: ""}}),
        *({"labels": {"k": "v" * 256}}, {"labels": {"\N{GRINNING FACE}" * 63: "é"}}),
        *({"labels": {str(n): "" for n in range(16)}}, {"labels": {str(n): "" for n in range(17)}}),
        *({"url": None}, {"url": "https://ci.example/1"}, {"url": "ci.example"}, {"url": ""}),
        *({"url": "http://a b"}, {"url": "https://" + "x" * 2041}),
        *({"start_before": None}, {"start_before": "2026-01-02T03:04:05Z"}),
        *({"start_before": "2026-01-02T03:04:05"}, {"start_before": 1}),
    ],
    ids=lambda fields: json.dumps(fields)[:40],
)
def test_the_schema_takes_what_the_worker_takes(fields: Json) -> None:
    body = {"run_id": 1, **fields}

    assert PAYLOAD.is_valid(body) == _is_registration(body)
