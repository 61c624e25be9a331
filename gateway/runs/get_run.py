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
from gateway.views import cancellation_view
from gateway.waiting import TerminalWatch
from shared.http.json_responses import json_response
from shared.postgres import sql
from shared.postgres.database import Database

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
        left_behind=_left_behind(row["left_behind"]),
        cancellation=None if row["command_id"] is None else cancellation_view(row),
    )


def _left_behind(record: str | None) -> schemas.LeftBehind | None:
    if record is None:
        return None
    found = json.loads(record)
    return schemas.LeftBehind(
        number=found["number"],
        containers=found["containers_number"],
        kept=found["kept"],
        ended=found.get("ended"),
        proof=found.get("proof"),
    )
