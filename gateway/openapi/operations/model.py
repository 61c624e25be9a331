"""What the document says about one operation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from gateway.auth.access import Scope

Json = dict[str, Any]

RATE_LIMIT_HEADERS: Final = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


@dataclass(frozen=True, slots=True)
class Response:
    """The meaning of one status, with examples made by the real code.

    `headers` are always present, those in `sometimes` may be.
    """

    description: str
    examples: Mapping[str, BaseModel | Json]
    headers: tuple[str, ...] = RATE_LIMIT_HEADERS
    sometimes: tuple[str, ...] = ()
    links: Json = field(default_factory=dict)
    message_schema: Json | None = None
    """Of a stream of Server-Sent Events: the fields of each message, as the examples have them."""


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    operation_id: str
    summary: str
    description: str
    scope: Scope
    responses: Mapping[int, Response]
    parameters: tuple[Json, ...] = ()
    request: type[BaseModel] | None = None
    needs_body: bool = False
    """Whether `{}`, which stands for an empty body, is refused."""
    tag: str = "Runs"
