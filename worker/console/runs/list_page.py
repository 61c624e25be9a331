"""GET /runs: runs by status, host and labels, newest first; and the way to a run by its number."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web
from asyncpg import Record

from shared.limits import MAX_LABELS
from shared.postgres.database import Database
from shared.registrations import is_web_address
from shared.run_list import HOST, LABEL, LOOKED_AT, RunFilters, list_page
from shared.states import RunStatus, command_state
from worker.console.runs.numbers import run_number
from worker.console.web.query import Query, one_of
from worker.console.web.rendering import page
from worker.runs.wording import length

SIZES: Final = (50, 100, 200)
"""The numbers of runs that a page may have."""


class RunsPage:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def handle(self, request: web.Request) -> web.Response:
        query = Query(request.query)
        number = query.parsed("number", run_number)
        if number is not None and not query.problems:
            raise web.HTTPSeeOther(f"/runs/{number}")
        filters = _filters(query)
        limit = query.parsed("limit", _limit) or SIZES[0]
        after = query.parsed("after", run_number)
        values = {
            "statuses": RunStatus,
            "sizes": sorted({*SIZES, limit}),
            "filters": filters,
            "limit": limit,
            "after": after,
            "labels": _labels(query),
            "looked_at": LOOKED_AT,
            "problems": query.problems,
        }
        if query.problems:
            return page("runs.html", request, {**values, "listed": None}, status=400)
        found = await list_page(self._database, filters, limit, after)
        older = None
        if found.last is not None:
            older = request.rel_url.update_query(after=str(found.last))
        listed = list(_rows(found.runs, datetime.now(UTC)))
        return page("runs.html", request, {**values, "listed": listed, "older": older})


def _filters(query: Query) -> RunFilters:
    status = query.parsed("status", one_of(RunStatus))
    host = query.parsed("host", _host)
    labels = _labels(query)
    if len(labels) > MAX_LABELS:
        query.problems.append(f"label: can be given at most {MAX_LABELS} times.")
    query.problems.extend(
        f"label: {label!r} is not key:value, with a key of 1 to 63 characters and a value of at "
        "most 255."
        for label in labels
        if not _is_label(label)
    )
    return RunFilters(status, host, labels)


def _labels(query: Query) -> list[str]:
    """Each once; the form has an empty field for one more."""
    return list(dict.fromkeys(filter(None, query.texts("label"))))


def _is_label(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False  # Postgres cannot store it
    return re.fullmatch(LABEL, text) is not None


def _host(text: str) -> str:
    if not re.fullmatch(HOST, text):
        raise ValueError(f"{text!r} is no name of a host")
    return text


def _limit(text: str) -> int:
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= SIZES[-1]:
        raise ValueError(f"{text!r} is no number from 1 to {SIZES[-1]}")
    return int(text)


def _rows(runs: Sequence[Record], now: datetime) -> Iterator[dict[str, Any]]:
    for run in runs:
        has_open = run["command_id"] is not None and run["outcome"] is None
        is_over = RunStatus(run["status"]).is_terminal
        lasted = None
        if run["started_at"] is not None:
            lasted = length((run["finished_at"] or now) - run["started_at"])
        yield {
            "run_id": run["run_id"],
            "status": run["status"],
            "cancel": command_state(run["status"], run["host_state"]) if has_open else None,
            "host": run["host"],
            "created_at": run["created_at"],
            "finished_at": run["finished_at"],
            "lasted": lasted,
            "is_over": is_over,
            "labels": sorted(json.loads(run["labels"]).items()),
            "url": run["url"],
            "has_address": run["url"] is not None and is_web_address(run["url"]),
        }
