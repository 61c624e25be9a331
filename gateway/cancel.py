"""POST /api/v1/runs/{run_id}/cancel: authenticate, validate, publish, answer."""

from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.access import MAY_CANCEL, Scope, authenticate, require_role, require_scope
from gateway.errors import ApiError, invalid
from gateway.publisher import CommandPublisher
from gateway.runs import find_status, run_id_of
from shared.commands import CancelCommand, Text
from shared.database import Database
from shared.states import RunStatus

_ACCEPTED: Final = "accepted"
_NO_OP: Final = "no_op"


class CancelBody(BaseModel):
    """What a caller may say. An unknown key is refused: it would be silently without effect."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    reason: Text | None = None


class CancelHandler:
    def __init__(self, database: Database, publisher: CommandPublisher) -> None:
        self._database = database
        self._publisher = publisher

    async def __call__(self, request: web.Request) -> web.Response:
        caller = await authenticate(request, self._database)
        require_role(caller, MAY_CANCEL)
        require_scope(caller, Scope.RUNS_WRITE)
        run_id = run_id_of(request)
        body = await _read_body(request)
        status = await find_status(self._database, run_id)

        command = CancelCommand(
            command_id=uuid4(),
            run_id=run_id,
            reason=body.reason,
            requested_by=caller.subject,
            requested_at=datetime.now(UTC),
        )
        # Also for a run that is over: the worker records the command, and decides on what is
        # true then, not on what was read here.
        await self._publisher.publish(command, correlation_id=str(command.command_id))
        return _accepted(run_id, status)


async def _read_body(request: web.Request) -> CancelBody:
    try:
        content = await request.read()
    except web.RequestPayloadError:  # a Content-Encoding that the body does not have
        raise invalid({"body": "cannot be decoded"}) from None
    if not content.strip():
        return CancelBody()
    if "Content-Type" in request.headers and request.content_type != "application/json":
        raise ApiError(
            415,
            "validation_error",
            "The body must be application/json.",
            {"fields": {"Content-Type": "must be application/json"}},
        )
    try:
        return CancelBody.model_validate_json(content)
    except ValidationError as error:
        raise invalid(
            {
                ".".join(("body", *map(str, problem["loc"]))): problem["msg"]
                for problem in error.errors(include_input=False, include_url=False)
            }
        ) from None


def _accepted(run_id: int, status: RunStatus) -> web.Response:
    answer, message = _answer(run_id, status)
    return web.json_response(
        {
            "run_id": run_id,
            "new_run_id": None,
            "action": "cancel",
            "status": answer,
            "message": message,
        },
        status=202,
        headers={"Location": f"/api/v1/runs/{run_id}"},
    )


def _answer(run_id: int, status: RunStatus) -> tuple[str, str]:
    if status is RunStatus.CANCELED:
        return _NO_OP, f"Run {run_id} is already canceled."
    if status.is_terminal:
        return _NO_OP, f"Run {run_id} has already finished ({status})."
    if status is RunStatus.CANCELING:
        return _ACCEPTED, f"Cancellation of run {run_id} is already in progress."
    return _ACCEPTED, f"Cancellation of run {run_id} accepted."
