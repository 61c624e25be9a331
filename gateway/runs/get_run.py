"""GET /api/v1/runs/{run_id}, the Location of a 202."""

import json
from typing import Final

from aiohttp import web
from asyncpg import Record

from gateway import schemas
from gateway.auth.access import Scope
from gateway.auth.admission import Access, Budget, Gate, RunLookup
from gateway.http.errors import run_not_found
from gateway.http.query import wait_of
from gateway.waiting import TerminalWatch
from shared.http.json_responses import json_response
from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import CommandState, command_state

_ACCESS: Final = Access(Budget.READ, Scope.RUNS_READ, RunLookup.SUMMARY)


class RunHandler:
    def __init__(self, gate: Gate, database: Database, watch: TerminalWatch) -> None:
        self._gate = gate
        self._database = database
        self._watch = watch

    async def handle(self, request: web.Request) -> web.Response:
        admission = await self._gate.admit(request, _ACCESS)
        run_id = admission.run_id
        wait = wait_of(request)
        row: Record | None = admission.row
        if wait and not admission.found_status().is_terminal:
            await self._watch.until_terminal(run_id, wait)
            row = await self._database.fetchrow(sql.requests.FIND_RUN_SUMMARY, run_id)
        if row is None or row["status"] is None:
            raise run_not_found(run_id)
        return json_response(run_view(row))


def run_view(row: Record) -> schemas.RunView:
    """The run in `row`, which has the columns of FIND_RUN_SUMMARY."""
    return schemas.RunView(
        run_id=row["run_id"],
        status=row["status"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        canceling_at=row["canceling_at"],
        finished_at=row["finished_at"],
        labels=json.loads(row["labels"]),
        url=row["url"],
        start_before=row["start_before"],
        expired=row["expired"],
        exit_code=row["exit_code"],
        error=row["error"],
        cancellation=_cancellation(row),
    )


def _cancellation(row: Record) -> schemas.Cancellation | None:
    if row["command_id"] is None:
        return None
    is_open = row["outcome"] is None
    state = command_state(row["status"], row["host_state"]) if is_open else None
    return schemas.Cancellation(
        command_id=row["command_id"],
        via=row["via"],
        requested_by=row["requested_by"],
        reason=row["reason"],
        received_at=row["received_at"],
        outcome=row["outcome"],
        state=state,
        waiting_for=schemas.WaitingFor(
            host=row["host"], host_state=row["host_state"], since=row["host_since"]
        )
        if state is CommandState.PENDING
        else None,
        finished_at=row["answered_at"],
        evidence=schemas.Evidence(
            ended=row["ended"], proof=row["proof"], duration_ms=row["duration_ms"]
        ),
    )
