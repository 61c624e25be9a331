"""GET /api/v1/runs: runs by status, host and labels, newest first."""

import re
from typing import Final

from aiohttp import web

from gateway.auth.access import Scope
from gateway.auth.admission import Access, Budget, Gate
from gateway.http.errors import invalid
from gateway.http.paging import next_page, page_of
from gateway.http.query import BAD_HOST, BAD_LABEL, BAD_STATUS, MANY_LABELS, unknown
from gateway.runs.get_run import run_view
from gateway.schemas import RunList
from shared.http.json_responses import json_response
from shared.limits import MAX_LABELS
from shared.postgres.database import Database
from shared.run_list import HOST, LABEL, RunFilters, list_page
from shared.states import RunStatus

_ACCESS: Final = Access(Budget.READ, Scope.RUNS_READ)
_PARAMETERS: Final = ("status", "host", "label", "limit", "after")


class ListHandler:
    def __init__(self, gate: Gate, database: Database) -> None:
        self._gate = gate
        self._database = database

    async def handle(self, request: web.Request) -> web.Response:
        await self._gate.admit(request, _ACCESS)
        problems = unknown(request, *_PARAMETERS)
        filters, page = _filters(request, problems), page_of(request, problems)
        if problems:
            raise invalid(problems)

        found = await list_page(self._database, filters, page.limit, page.after)
        return json_response(
            RunList(runs=[run_view(row) for row in found.runs]),
            headers={} if found.last is None else next_page(request, found.last),
        )


def _filters(request: web.Request, problems: dict[str, str]) -> RunFilters:
    """What the query asks for. What is wrong with it is added to `problems`."""
    status, host = request.query.getall("status", []), request.query.getall("host", [])
    labels = request.query.getall("label", [])
    if len(status) > 1 or not set(status) <= set(RunStatus):
        problems["status"] = BAD_STATUS
    if len(host) > 1 or not all(re.fullmatch(HOST, name) for name in host):
        problems["host"] = BAD_HOST
    if not all(re.fullmatch(LABEL, label) for label in labels):
        problems["label"] = BAD_LABEL
    elif len(labels) > MAX_LABELS:
        problems["label"] = MANY_LABELS
    if problems:
        return RunFilters()
    return RunFilters(RunStatus(status[0]) if status else None, host[0] if host else None, labels)
