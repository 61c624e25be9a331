"""JSON bodies: read within a time and size, and checked against a model."""

import asyncio
import codecs
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from gateway.http.errors import invalid, unavailable
from shared.validation import reworded

Model = TypeVar("Model", bound=BaseModel)


async def read_body(request: web.Request, model: type[Model], timeout: float) -> Model:
    """The body of a request as a `model`; an empty one is `{}`.

    `timeout` is in seconds. Raises ApiError 400, 408, 413, 415, and 503 at shutdown.
    """
    return _parse(request, await _read(request, timeout), model)


async def _read(request: web.Request, timeout: float) -> bytes:
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise invalid({"Content-Encoding": "is not supported"}, status=415)
    if (request.content_length or 0) > request.client_max_size:
        raise invalid({"body": "is too large"}, status=413)  # before it has arrived
    content = request.content
    if content.is_eof() and content.exception() is None:
        # The usual case: the body came with the head, so there is nothing to wait for.
        if content.total_bytes > request.client_max_size:
            raise invalid({"body": "is too large"}, status=413)
        return content.read_nowait()
    try:
        async with asyncio.timeout(timeout):
            return await request.read()
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


def _parse(request: web.Request, content: bytes, model: type[Model]) -> Model:
    if not content.strip():
        content = b"{}"
    elif "Content-Type" in request.headers and request.content_type != "application/json":
        raise invalid({"Content-Type": "must be application/json"}, status=415)
    elif request.charset and not _is_utf8(request.charset):
        raise invalid({"Content-Type": "must have the charset utf-8"}, status=415)
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise invalid(
            {
                ".".join(("body", *map(str, problem["loc"]))): reworded(problem["msg"])
                for problem in error.errors(include_input=False, include_url=False)
            }
        ) from None


def _is_utf8(charset: str) -> bool:
    try:
        return codecs.lookup(charset).name in ("utf-8", "ascii")
    except (LookupError, ValueError):
        return False
