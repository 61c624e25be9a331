"""POST /api/v1/runs/{run_id}/cancel: admit, validate, publish, answer."""

import asyncio
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from aiohttp import web
from pydantic import ValidationError

from gateway import schemas
from gateway.access import MAY_CANCEL, Scope, require_role, require_scope
from gateway.admission import Budget, Gate
from gateway.errors import invalid, json_response
from gateway.publisher import CommandPublisher
from gateway.request_id import request_id
from gateway.runs import found_status, possible_run_id, run_id_of
from gateway.schemas import Answer, CancelRequest
from shared import queries
from shared.commands import CancelCommand
from shared.states import RunStatus

_ENCODINGS: Final = ("identity", "gzip", "deflate")


class CancelHandler:
    def __init__(self, gate: Gate, publisher: CommandPublisher, body_timeout: float) -> None:
        self._gate = gate
        self._publisher = publisher
        self._body_timeout = body_timeout

    async def __call__(self, request: web.Request) -> web.Response:
        admission = await self._gate.admit(
            request, Budget.WRITE, queries.ADMIT_WITH_STATUS, possible_run_id(request)
        )
        require_role(admission.caller, MAY_CANCEL)
        require_scope(admission.caller, Scope.RUNS_WRITE)
        run_id = run_id_of(request)
        body = _parse(request, await self._read(request))
        status = found_status(admission.run, run_id)

        command = CancelCommand(
            command_id=uuid4(),
            run_id=run_id,
            reason=body.reason,
            requested_by=admission.caller.subject,
            requested_at=datetime.now(UTC),
        )
        # Also for a run that is over: the worker records the command, and decides on what is
        # true then, not on what was read here.
        await self._publisher.publish(command, correlation_id=request_id(request))
        return json_response(
            _answer(run_id, status), status=202, headers={"Location": f"/api/v1/runs/{run_id}"}
        )

    async def _read(self, request: web.Request) -> bytes:
        # aiohttp decodes these, leaves what it does not know as it is, and refuses the rest.
        if request.headers.get("Content-Encoding", "identity").lower() not in _ENCODINGS:
            raise invalid({"Content-Encoding": "must be gzip or deflate, if any"}, status=415)
        try:
            async with asyncio.timeout(self._body_timeout):
                return await request.read()
        except TimeoutError:
            raise invalid({"body": "did not arrive in time"}, status=408) from None
        except ConnectionError:  # the client is gone, and the answer is for the log alone
            raise invalid({"body": "was cut off"}) from None
        except web.RequestPayloadError:  # a Content-Encoding that the body does not have
            raise invalid({"body": "cannot be decoded"}) from None


def _parse(request: web.Request, content: bytes) -> CancelRequest:
    if not content.strip():
        return CancelRequest()
    if "Content-Type" in request.headers and request.content_type != "application/json":
        raise invalid({"Content-Type": "must be application/json"}, status=415)
    if (request.charset or "utf-8").lower() not in ("utf-8", "us-ascii"):
        raise invalid({"Content-Type": "must have the charset utf-8"}, status=415)
    try:
        return CancelRequest.model_validate_json(content)
    except ValidationError as error:
        raise invalid(
            {
                ".".join(("body", *map(str, problem["loc"]))): problem["msg"]
                for problem in error.errors(include_input=False, include_url=False)
            }
        ) from None


def _answer(run_id: int, status: RunStatus) -> schemas.CancelAnswer:
    answer, message = _in_words(run_id, status)
    return schemas.CancelAnswer(
        run_id=run_id, new_run_id=None, action="cancel", status=answer, message=message
    )


def _in_words(run_id: int, status: RunStatus) -> tuple[Answer, str]:
    if status is RunStatus.CANCELED:
        return Answer.NO_OP, f"Run {run_id} is already canceled."
    if status.is_terminal:
        return Answer.NO_OP, f"Run {run_id} has already finished ({status})."
    if status is RunStatus.CANCELING:
        return Answer.ACCEPTED, f"Cancellation of run {run_id} is already in progress."
    return Answer.ACCEPTED, f"Cancellation of run {run_id} accepted."
