"""POST /api/v1/runs/{run_id}/cancel: admit, validate, publish, answer."""

import asyncio
import codecs
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

from aiohttp import web
from pydantic import ValidationError

from gateway.auth.access import MAY_CANCEL, Scope, require_role, require_scope
from gateway.auth.admission import Budget, Gate, RunLookup
from gateway.http.errors import invalid, json_response, unavailable
from gateway.http.query import refuse_unknown
from gateway.http.request_id import request_id
from gateway.http.request_keys import COMMAND
from gateway.publisher import CommandPublisher
from gateway.runs import found_status, possible_run_id, run_id_of
from gateway.schemas import API, Answer, CancelRequest, PlainCancelAnswer
from shared.commands import CancelCommand
from shared.states import RunStatus
from shared.validation import in_words


class CancelHandler:
    def __init__(
        self,
        gate: Gate,
        publisher: CommandPublisher,
        body_timeout: float,
        accepted: Callable[[Answer], None],
    ) -> None:
        """`body_timeout` is in seconds. `accepted` is called for each 202."""
        self._gate = gate
        self._publisher = publisher
        self._body_timeout = body_timeout
        self._accepted = accepted

    async def handle(self, request: web.Request) -> web.Response:
        admission = await self._gate.admit(
            request, Budget.WRITE, RunLookup.STATUS, possible_run_id(request)
        )
        require_role(admission.caller, MAY_CANCEL)
        require_scope(admission.caller, Scope.RUNS_WRITE)
        run_id = run_id_of(request)
        refuse_unknown(request)
        body = _parse(request, await self._read(request))
        status = found_status(admission.row, run_id)

        command = CancelCommand(
            command_id=uuid4(),
            run_id=run_id,
            reason=body.reason or None,
            requested_by=admission.caller.subject,
            requested_at=datetime.now(UTC),
        )
        request[COMMAND] = command
        # Also published for a run that is over: the worker records the command and decides by the
        # status at that time, not by the one read here.
        await self._publisher.publish(command, correlation_id=request_id(request))
        answer = answer_of(run_id, status)
        self._accepted(answer["status"])
        return json_response(answer, status=202, headers={"Location": f"{API}/runs/{run_id}"})

    async def _read(self, request: web.Request) -> bytes:
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
            async with asyncio.timeout(self._body_timeout):
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


def _parse(request: web.Request, content: bytes) -> CancelRequest:
    if not content.strip():
        return CancelRequest()
    if "Content-Type" in request.headers and request.content_type != "application/json":
        raise invalid({"Content-Type": "must be application/json"}, status=415)
    if request.charset and not _is_utf8(request.charset):
        raise invalid({"Content-Type": "must have the charset utf-8"}, status=415)
    try:
        return CancelRequest.model_validate_json(content)
    except ValidationError as error:
        raise invalid(
            {
                ".".join(("body", *map(str, problem["loc"]))): in_words(problem["msg"])
                for problem in error.errors(include_input=False, include_url=False)
            }
        ) from None


def _is_utf8(charset: str) -> bool:
    try:
        return codecs.lookup(charset).name in ("utf-8", "ascii")
    except (LookupError, ValueError):
        return False


def answer_of(run_id: int, status: RunStatus) -> PlainCancelAnswer:
    """The body of a 202 for a run with this status."""
    answer, message = _in_words(run_id, status)
    return {
        "run_id": run_id,
        "new_run_id": None,
        "action": "cancel",
        "status": answer,
        "message": message,
    }


def _in_words(run_id: int, status: RunStatus) -> tuple[Answer, str]:
    if status is RunStatus.CANCELED:
        return Answer.NO_OP, f"Run {run_id} is already canceled."
    if status.is_terminal:
        return Answer.NO_OP, f"Run {run_id} has already finished ({status})."
    if status is RunStatus.CANCELING:
        return Answer.ACCEPTED, f"Cancellation of run {run_id} is already in progress."
    return Answer.ACCEPTED, f"Cancellation of run {run_id} accepted."
