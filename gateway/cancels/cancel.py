"""POST /api/v1/runs/{run_id}/cancel and …/force-cancel: admit, publish the command, answer."""

from collections.abc import Callable
from typing import Final
from uuid import uuid4

from aiohttp import web

from gateway.auth.access import MAY_CANCEL, Scope
from gateway.auth.admission import Access, Budget, Gate, RunLookup
from gateway.cancels.answers import RunState, cancel_answer, conflict
from gateway.cancels.idempotency import key_of, recorded
from gateway.cancels.publisher import CommandPublisher
from gateway.http.body import read_body
from gateway.http.query import refuse_unknown
from gateway.http.request_id import request_id
from gateway.http.request_keys import COMMAND
from gateway.schemas import API, CancelRequest, CancelStatus
from shared.commands import CancelCommand
from shared.http.json_responses import json_response
from shared.postgres.database import Database

_CANCEL: Final = Access(Budget.WRITE, Scope.RUNS_WRITE, RunLookup.STATUS, MAY_CANCEL)
_FORCE: Final = Access(Budget.WRITE, Scope.RUNS_FORCE, RunLookup.STATUS, MAY_CANCEL)


class CancelHandler:
    def __init__(
        self,
        gate: Gate,
        database: Database,
        publisher: CommandPublisher,
        body_timeout: float,
        accepted: Callable[[CancelStatus], None],
    ) -> None:
        """`body_timeout` is in seconds. `accepted` is called for each 202."""
        self._gate = gate
        self._database = database
        self._publisher = publisher
        self._body_timeout = body_timeout
        self._accepted = accepted

    async def cancel(self, request: web.Request) -> web.Response:
        return await self._handle(request, _CANCEL, force=False)

    async def force_cancel(self, request: web.Request) -> web.Response:
        return await self._handle(request, _FORCE, force=True)

    async def _handle(self, request: web.Request, access: Access, *, force: bool) -> web.Response:
        admission = await self._gate.admit(request, access)
        refuse_unknown(request)
        key = key_of(request)
        body = await read_body(request, CancelRequest, self._body_timeout)
        state = RunState(admission.found_status(), admission.row["leftovers_possible"])

        run_id = admission.run_id
        command = CancelCommand(
            command_id=key or uuid4(),
            run_id=run_id,
            reason=body.reason or None,
            requested_by=admission.caller.subject,
            # By the clock of Postgres, as the run's times.
            requested_at=admission.row["asked_at"],
            force=force,
        )
        request[COMMAND] = command
        found = (await recorded(self._database, [key])).get(key) if key else None
        if found is None:
            # Also published for a run that is over: the worker records the command and decides by
            # the status at that time, not by the one read here.
            await self._publisher.publish(command, correlation_id=request_id(request))
        elif key and (found.run_id, found.force) != (run_id, force):
            raise conflict(key, of_this_run=found.run_id == run_id, force=found.force)
        else:
            state = found.state
        answer = cancel_answer(run_id, state)
        self._accepted(answer["status"])
        headers = {
            "Location": f"{API}/runs/{run_id}",
            "X-Command-Id": str(command.command_id),
        }
        return json_response(answer, status=202, headers=headers)
