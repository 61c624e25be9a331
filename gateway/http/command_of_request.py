"""Which command a request became, for those who tell of it after the handler."""

from typing import Any, Final

from aiohttp import web

from gateway.http.request_id import request_id
from shared.commands import CancelCommand

_COMMAND: Final = web.RequestKey("command", CancelCommand)


def note(request: web.BaseRequest, command: CancelCommand) -> None:
    request[_COMMAND] = command


def command_of(request: web.BaseRequest) -> CancelCommand | None:
    return request.get(_COMMAND)


def log_fields(request: web.BaseRequest) -> dict[str, Any]:
    """What every log line that concerns a command has, in the worker's log as well."""
    command = command_of(request)
    if command is None:
        return {}
    return {
        "run_id": command.run_id,
        "command_id": str(command.command_id),
        "correlation_id": request_id(request),
    }
