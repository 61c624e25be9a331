"""The fields of every log line about a command; the worker logs the same ones."""

from typing import Any

from aiohttp import web

from gateway.http.request_id import request_id
from gateway.http.request_keys import COMMAND


def log_fields(request: web.BaseRequest) -> dict[str, Any]:
    """Empty until the request is a command."""
    command = request.get(COMMAND)
    if command is None:
        return {}
    return {
        "run_id": command.run_id,
        "command_id": str(command.command_id),
        "correlation_id": request_id(request),
    }
