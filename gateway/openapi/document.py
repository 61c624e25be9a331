"""The OpenAPI document, made from the operations and models that the handlers use."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Final, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway import schemas
from gateway.openapi.operations import OPERATIONS
from gateway.openapi.operations.model import Json, Operation, Response

_HEADERS: Final[Mapping[str, tuple[str, Json]]] = {
    "X-Request-Id": ("The request id: the one in the request, or a new one.", {"type": "string"}),
    "X-RateLimit-Limit": ("Requests per window.", {"type": "integer"}),
    "X-RateLimit-Remaining": ("Requests left in the current window.", {"type": "integer"}),
    "X-RateLimit-Reset": ("Unix time at which the next window starts.", {"type": "integer"}),
    "Retry-After": ("Seconds to wait before the next attempt.", {"type": "integer"}),
    "WWW-Authenticate": ("The challenge, as in RFC 6750.", {"type": "string"}),
    "X-Command-Id": ("The id of the cancel command.", {"type": "string", "format": "uuid"}),
    "Link": (
        "The next page, with the relation `next`, as in RFC 8288. Absent on the last page.",
        {"type": "string"},
    ),
    "Location": (
        "The path that reports the status of the run.",
        {"type": "string", "format": "uri-reference"},
    ),
}


def document() -> Json:
    """The whole API, as OpenAPI 3.1."""
    paths: Json = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Run cancellation",
            "version": version("run-cancel"),
            "description": "Cancel CI runs and check the results. Every error has `code`, "
            "`message` and `details`. An unknown query parameter is rejected with 400.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": "Runs"}, {"name": "Events"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token from `cancel-gateway tokens create`.",
                }
            },
            "schemas": _schemas(),
        },
    }


def _operation(operation: Operation) -> Json:
    described: Json = {
        "operationId": operation.operation_id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": f"{operation.description}\n\nScope: `{operation.scope}`.",
        "parameters": list(operation.parameters),
        "responses": {
            **{str(status): _response(it) for status, it in operation.responses.items()},
            "default": {
                "description": "Any other error, in the same envelope.",
                "headers": _headers(()),
                "content": _content(schemas.AnyError),
            },
        },
    }
    if operation.request is not None:
        described["requestBody"] = {
            "required": operation.needs_body,
            "content": _content(operation.request),
        }
    return described


def _response(response: Response) -> Json:
    examples = {name: {"value": _value(it)} for name, it in response.examples.items()}
    if response.message_schema is not None:
        # Before OpenAPI 3.2, the schema of a stream describes one message, by convention.
        content: Json = {
            "text/event-stream": {"schema": response.message_schema, "examples": examples}
        }
    else:
        (model,) = {type(it) for it in response.examples.values() if isinstance(it, BaseModel)}
        content = _content(model, examples=examples)
    described: Json = {
        "description": response.description,
        "headers": _headers(response.headers, response.sometimes),
        "content": content,
    }
    if response.links:
        described["links"] = response.links
    return described


def _value(example: BaseModel | Json) -> Json:
    return example.model_dump(mode="json") if isinstance(example, BaseModel) else example


def _headers(always: Iterable[str], sometimes: Iterable[str] = ()) -> Json:
    return {
        **{name: _header(name, required=True) for name in ("X-Request-Id", *always)},
        **{name: _header(name, required=False) for name in sometimes},
    }


def _header(name: str, *, required: bool) -> Json:
    description, schema = _HEADERS[name]
    return {"description": description, "required": required, "schema": schema}


def _content(model: type[BaseModel], **more: Json) -> Json:
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"application/json": {"schema": schema, **more}}


def _schemas() -> Json:
    models: dict[type[BaseModel], Literal["serialization", "validation"]] = {
        type(example): "serialization"
        for operation in OPERATIONS
        for response in operation.responses.values()
        for example in response.examples.values()
        if isinstance(example, BaseModel)
    }
    models[schemas.AnyError] = "serialization"
    models.update({it.request: "validation" for it in OPERATIONS if it.request is not None})
    _, definitions = models_json_schema(
        list(models.items()), ref_template="#/components/schemas/{model}"
    )
    return dict(sorted(definitions["$defs"].items()))
