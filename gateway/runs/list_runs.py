"""GET /api/v1/runs: runs by status, host and labels, newest first."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from gateway.auth.access import Scope
from gateway.auth.admission import Access, Budget, Gate
from gateway.http.errors import invalid
from gateway.http.paging import Page, next_page, page_of
from gateway.http.query import BAD_HOST, BAD_LABEL, BAD_STATUS, HOST, LABEL, MANY_LABELS, unknown
from gateway.runs.get_run import run_view
from gateway.schemas import RunList
from shared.http.json_responses import json_response
from shared.limits import BIGINT_MAX, MAX_LABELS
from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import RunStatus

_ACCESS: Final = Access(Budget.READ, Scope.RUNS_READ)
_PARAMETERS: Final = ("status", "host", "label", "limit", "after")
LOOKED_AT: Final = 5000
"""The most runs that one page looks at."""


@dataclass(frozen=True, slots=True)
class _Filters:
    status: RunStatus | None
    host: str | None
    labels: Sequence[str]

    @property
    def count(self) -> int:
        return (self.status is not None) + (self.host is not None) + len(self.labels)


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

        statement, index = _statement(filters)
        rows = await self._database.fetch(statement, *_arguments(filters, page), *index)
        found = [row for row in rows if row["run_id"] is not None]
        shown = found[: page.limit]
        # More than fit, or more to look at.
        last = shown[-1]["run_id"] if len(found) > page.limit else rows[0]["last"]
        return json_response(
            RunList(runs=[run_view(row) for row in shown]),
            headers={} if last is None else next_page(request, last),
        )


def _filters(request: web.Request, problems: dict[str, str]) -> _Filters:
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
        return _Filters(None, None, ())
    return _Filters(RunStatus(status[0]) if status else None, host[0] if host else None, labels)


def _statement(filters: _Filters) -> tuple[str, Sequence[str]]:
    """The statement that begins with the fewest runs, as far as that is known without looking."""
    if filters.status is not None and not filters.status.is_terminal:
        return sql.requests.LIST_BY_STATUS, ()
    if filters.labels:
        return sql.requests.LIST_BY_LABEL, filters.labels[:1]
    if filters.host is not None:
        return sql.requests.LIST_BY_HOST, ()
    if filters.status is not None:
        return sql.requests.LIST_BY_STATUS, ()
    return sql.requests.LIST_ALL, ()


def _arguments(filters: _Filters, page: Page) -> Sequence[object]:
    # An index for the only condition finds nothing that is not listed.
    looked_at = page.limit + 1 if filters.count <= 1 else LOOKED_AT
    labels = [json.dumps(dict([label.split(":", 1)])) for label in filters.labels]
    newest = BIGINT_MAX if page.after is None else page.after - 1
    return filters.status, filters.host, labels, newest, looked_at, page.limit + 1
