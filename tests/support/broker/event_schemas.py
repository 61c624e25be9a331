"""What the AsyncAPI document must say of events, made from their models."""

import json
from functools import cache
from typing import Any, Final

import jsonschema_rs

from shared.events import DATA, SOURCE, Event, EventType
from tests.support.repository.documents import ROOT

Json = dict[str, Any]

DOCUMENT: Final = ROOT / "worker" / "asyncapi.json"
_REFERENCE: Final = "#/components/schemas/{model}"
_BY_TYPE: Final = ("type", "data")
_MAY_BE_MISSING: Final = {
    "subject": {"type": "string", "pattern": "^[1-9][0-9]{0,18}$"},
    "sequence": {"type": "string", "pattern": "^[0-9]{20}$"},
}
_ALWAYS: Final = {"specversion": "1.0", "source": SOURCE, "datacontenttype": "application/json"}


def model_name(kind: EventType) -> str:
    return DATA[kind].__name__


def schemas() -> Json:
    """The schemas of all events and of their contents."""
    found: Json = {}
    for kind, model in DATA.items():
        schema = model.model_json_schema(mode="serialization", ref_template=_REFERENCE)
        found |= schema.pop("$defs", {})
        found[model.__name__] = schema
        found[f"{model.__name__}Event"] = _event(kind)
    return dict(sorted(found.items()))


def _event(kind: EventType) -> Json:
    model = Event.model_json_schema(mode="serialization")
    properties = model["properties"]
    for name, value in _ALWAYS.items():
        properties[name] = {"const": value}
    for name, schema in _MAY_BE_MISSING.items():
        properties[name] = {**schema, "description": properties[name]["description"]}
    properties["type"] = {"const": kind.cloud_type}
    properties["data"] = {"$ref": _REFERENCE.format(model=model_name(kind))}
    return {
        "type": "object",
        "description": DATA[kind].__doc__,
        "properties": properties,
        "required": [name for name in properties if name not in _MAY_BE_MISSING],
    }


@cache
def _validators() -> dict[str, jsonschema_rs.Draft7Validator]:
    components = json.loads(DOCUMENT.read_text())["components"]
    return {
        kind.cloud_type: jsonschema_rs.Draft7Validator(
            {
                "components": components,
                "allOf": [{"$ref": f"#/components/schemas/{model_name(kind)}Event"}],
            },
            validate_formats=True,
        )
        for kind in EventType
    }


def check_event(event: Json) -> None:
    """Raises if `event` is not as the document says."""
    _validators()[event["type"]].validate(event)
    kind = next(kind for kind in EventType if kind.cloud_type == event["type"])
    DATA[kind].model_validate_json(json.dumps(event["data"]))
