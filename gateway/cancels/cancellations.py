"""GET /api/v1/runs/{run_id}/cancellations, and one of them."""

from typing import Final

from aiohttp import web

from gateway import schemas
from gateway.auth.access import Scope
from gateway.auth.admission import Access, Budget, Gate
from gateway.cancels.answers import BAD_AFTER, BAD_LIMIT, MAX_LIMIT, NOT_A_UUID
from gateway.cancels.idempotency import uuid_of
from gateway.http.errors import cancellation_not_found, invalid
from gateway.http.paging import limit_of
from gateway.http.query import unknown, wait_of
from gateway.schemas import API
from gateway.views import cancellation_view
from gateway.waiting import TerminalWatch
from shared.http.json_responses import json_response
from shared.postgres import sql
from shared.postgres.database import Database

_ACCESS: Final = Access(Budget.READ, Scope.RUNS_READ)


class CancellationsHandler:
    def __init__(self, gate: Gate, database: Database, watch: TerminalWatch) -> None:
        self._gate = gate
        self._database = database
        self._watch = watch

    async def list(self, request: web.Request) -> web.Response:
        admission = await self._gate.admit(request, _ACCESS)
        run_id = admission.run_id
        problems = unknown(request, "limit", "after")
        limit = limit_of(request, MAX_LIMIT, MAX_LIMIT)
        if limit is None:
            problems["limit"] = BAD_LIMIT
        cursors = request.query.getall("after", [])
        after = uuid_of(cursors[0]) if len(cursors) == 1 else None
        if cursors and after is None:
            problems["after"] = BAD_AFTER
        if limit is None or problems:
            raise invalid(problems)
        admission.found_status()

        since = None
        if after is not None:
            found = await self._database.fetchrow(sql.cancellations.FIND_RECEIVED_AT, run_id, after)
            if found is None:
                raise invalid({"after": BAD_AFTER})
            since = found["received_at"]
        # One more, to know whether there are more.
        rows = await self._database.fetch(
            sql.cancellations.SHOW_ALL, run_id, since, after, limit + 1
        )
        shown = schemas.Cancellations(cancellations=[cancellation_view(it) for it in rows[:limit]])
        headers = {}
        if len(rows) > limit:
            last = rows[limit - 1]["command_id"]
            path = f"{API}/runs/{run_id}/cancellations?limit={limit}&after={last}"
            headers["Link"] = f'<{path}>; rel="next"'
        return json_response(shown, headers=headers)

    async def get(self, request: web.Request) -> web.Response:
        admission = await self._gate.admit(request, _ACCESS)
        run_id = admission.run_id
        command_id = uuid_of(request.match_info["command_id"])
        if command_id is None:
            raise invalid({"command_id": NOT_A_UUID})
        wait = wait_of(request)
        admission.found_status()

        row = await self._database.fetchrow(sql.cancellations.SHOW, run_id, command_id)
        if wait and (row is None or row["outcome"] is None):
            await self._watch.until_settled(command_id, wait)
            row = await self._database.fetchrow(sql.cancellations.SHOW, run_id, command_id)
        if row is None:
            raise cancellation_not_found(run_id, command_id)
        return json_response(cancellation_view(row))
