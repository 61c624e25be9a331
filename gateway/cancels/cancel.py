"""POST /api/v1/runs/{run_id}/cancel: admit, read the body, publish the command, answer."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from aiohttp import web

from gateway.auth.access import MAY_CANCEL, Scope
from gateway.auth.admission import Access, Budget, Gate, RunLookup
from gateway.cancels.answers import cancel_answer
from gateway.cancels.publisher import CommandPublisher
from gateway.http.body import read_body
from gateway.http.query import refuse_unknown
from gateway.http.request_id import request_id
from gateway.http.request_keys import COMMAND
from gateway.schemas import API, CancelRequest, CancelStatus
from shared.commands import CancelCommand
from shared.http.json_responses import json_response

_ACCESS: Final = Access(Budget.WRITE, Scope.RUNS_WRITE, RunLookup.STATUS, MAY_CANCEL)


class CancelHandler:
    def __init__(
        self,
        gate: Gate,
        publisher: CommandPublisher,
        body_timeout: float,
        accepted: Callable[[CancelStatus], None],
    ) -> None:
        """`body_timeout` is in seconds. `accepted` is called for each 202."""
        self._gate = gate
        self._publisher = publisher
        self._body_timeout = body_timeout
        self._accepted = accepted

    async def handle(self, request: web.Request) -> web.Response:
        admission = await self._gate.admit(request, _ACCESS)
        refuse_unknown(request)
        body = await read_body(request, CancelRequest, self._body_timeout)
        status = admission.found_status()

        run_id = admission.run_id
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
        answer = cancel_answer(run_id, status)
        self._accepted(answer["status"])
        return json_response(answer, status=202, headers={"Location": f"{API}/runs/{run_id}"})
