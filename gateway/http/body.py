"""JSON bodies: read within a time and size, and checked against a model."""

import asyncio
import codecs
import json
from typing import Any, Final, TypeVar

from aiohttp import StreamReader, web
from pydantic import BaseModel, ValidationError

from gateway.http.errors import cut, invalid, unavailable
from shared.text.validation import reworded

Model = TypeVar("Model", bound=BaseModel)
NOT_UTF8: Final = "must be UTF-8 without a byte order mark"
_KEY: Final = ".[key]"
"""Of the place of a problem: the key is wrong, not its value."""


async def read_body(
    request: web.Request, model: type[Model], timeout: float, limit: int | None = None
) -> Model:
    """The body of a request as a `model`; an empty one is `{}`.

    `timeout` is in seconds, `limit` in bytes, if not that of all requests. Raises ApiError 400,
    408, 413, 415, and 503 at shutdown.
    """
    content = await _read(request, timeout, request.client_max_size if limit is None else limit)
    return _parse(request, content, model)


async def _read(request: web.Request, timeout: float, limit: int) -> bytes:
    # Several headers are one list (RFC 9110, 5.3).
    encodings = ", ".join(request.headers.getall("Content-Encoding", ["identity"]))
    if encodings.lower() != "identity":
        raise invalid({"Content-Encoding": "is not supported"}, status=415)
    if (request.content_length or 0) > limit:
        raise invalid({"body": "is too large"}, status=413)  # before it has arrived
    content = request.content
    if content.is_eof() and content.exception() is None:
        # The usual case: the body came with the head, so there is nothing to wait for.
        if content.total_bytes > limit:
            raise invalid({"body": "is too large"}, status=413)
        return content.read_nowait()
    try:
        async with asyncio.timeout(timeout):
            return await _read_all(content, limit)
    except TimeoutError:
        raise invalid({"body": "did not arrive in time"}, status=408) from None
    except ConnectionError:  # the client is gone; the response only goes to the log
        raise invalid({"body": "was cut off"}) from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # aiohttp cancels the read of a body when the gateway stops.
        raise unavailable() from None


async def _read_all(content: StreamReader, limit: int) -> bytes:
    body = bytearray()
    while chunk := await content.readany():
        body += chunk
        if len(body) > limit:
            raise invalid({"body": "is too large"}, status=413)
    return bytes(body)


def _parse(request: web.Request, content: bytes, model: type[Model]) -> Model:
    if not content.strip():
        content = b"{}"
    elif "Content-Type" in request.headers and request.content_type != "application/json":
        raise invalid({"Content-Type": "must be application/json"}, status=415)
    elif request.charset and not _is_utf8(request.charset):
        raise invalid({"Content-Type": "must have the charset utf-8"}, status=415)
    if content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise invalid({"body": NOT_UTF8})
    try:
        read = model.model_validate_json(content)
    except ValidationError as error:
        raise invalid(problems_of(error, "body")) from None
    json.loads(content.decode(), object_pairs_hook=_refuse_repeats)
    return read


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> None:
    """JSON parsers do not agree on which one counts (RFC 8259, 4). Raises ApiError 400."""
    keys: set[str] = set()
    for key, _ in pairs:
        if key in keys:
            raise invalid({"body": f"has the key {cut(key)} twice in one object"})
        keys.add(key)


def problems_of(error: ValidationError, *within: str) -> dict[str, str]:
    """What is wrong, by field; `within` is what the fields are in."""
    return {
        ".".join((*within, *map(str, problem["loc"]))).removesuffix(_KEY): reworded(problem["msg"])
        for problem in error.errors(include_input=False, include_url=False)
    }


def _is_utf8(charset: str) -> bool:
    try:
        return codecs.lookup(charset).name in ("utf-8", "ascii")
    except (LookupError, ValueError):
        return False
