"""The events in the AsyncAPI document: their schemas are those of the models, in every part."""

import json
from typing import Any

import jsonschema_rs
import pytest

from shared.events import CONTENT_TYPE, DATA, EventType
from tests.support.broker.event_schemas import DOCUMENT, check_event, model_name, schemas

Json = dict[str, Any]


def document() -> Json:
    read: Json = json.loads(DOCUMENT.read_text())
    return read


def message_of(kind: EventType) -> Json:
    name = model_name(kind)
    message: Json = document()["components"]["messages"][name[0].lower() + name[1:]]
    return message


def test_the_schemas_are_made_from_the_models() -> None:
    found = document()["components"]["schemas"]

    for name, schema in schemas().items():
        assert found[name] == schema


def test_every_type_has_its_message_in_the_channel() -> None:
    channel = document()["channels"]["events"]
    (operation,) = (it for it in document()["operations"].values() if it["action"] == "send")

    assert channel["bindings"]["amqp"]["exchange"]["name"] == "runs.events"
    assert channel["parameters"]["event"]["enum"] == [kind.value for kind in EventType]
    names = [message["$ref"].rpartition("/")[2] for message in operation["messages"]]
    assert names == list(channel["messages"])
    messages = document()["components"]["messages"]
    assert [messages[name]["name"] for name in names] == [kind.cloud_type for kind in EventType]


def test_replies_go_to_an_address_that_the_publisher_gives() -> None:
    reply = document()["operations"]["receiveCancel"]["reply"]

    assert document()["channels"]["replies"]["address"] is None
    assert "amq.rabbitmq.reply-to" in reply["address"]["description"]
    assert [message["$ref"].rpartition("/")[2] for message in reply["messages"]] == [
        "cancelSettled",
        "cancelRejected",
    ]


@pytest.mark.parametrize("kind", EventType)
def test_the_examples_are_events_of_their_type(kind: EventType) -> None:
    message = message_of(kind)
    assert message["contentType"] == CONTENT_TYPE
    assert message["bindings"]["amqp"]["messageType"] == kind.cloud_type
    assert message["examples"]

    for example in message["examples"]:
        assert example["payload"]["type"] == kind.cloud_type
        check_event(example["payload"])


@pytest.mark.parametrize("kind", EventType)
def test_an_event_that_lacks_a_field_is_none(kind: EventType) -> None:
    example = message_of(kind)["examples"][0]["payload"]

    for name in DATA[kind].model_fields:
        data = {key: value for key, value in example["data"].items() if key != name}
        with pytest.raises(jsonschema_rs.ValidationError, match=name):
            check_event({**example, "data": data})


@pytest.mark.parametrize("kind", EventType)
def test_every_field_is_described(kind: EventType) -> None:
    for field in DATA[kind].model_fields.values():
        assert field.description
