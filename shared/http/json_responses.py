"""Responses with a JSON body."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson
from aiohttp import web
from pydantic import BaseModel

Body = BaseModel | Mapping[str, object]

_JSON: Final = {"Content-Type": "application/json"}


def json_response(
    body: Body, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.Response(body=_encoded(body), status=status, headers={**_JSON, **(headers or {})})


def json_response_bytes(body: Body, status: int, headers: Mapping[str, str] | None = None) -> bytes:
    """A complete response, for a connection without a parsed request, which is closed after it."""
    content = _encoded(body)
    head = {**_JSON, "Content-Length": str(len(content)), **(headers or {}), "Connection": "close"}
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in head.items()]
    return "\r\n".join((*lines, "", "")).encode() + content


def _encoded(body: Body) -> bytes:
    """JSON with a trailing newline, so that a shell prompt starts on its own line."""
    if isinstance(body, BaseModel):
        return body.model_dump_json().encode() + b"\n"
    return orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE)
