"""GET /runs/N: the life of one run. POST /runs/N/cancel: cancel it."""

from dataclasses import asdict
from typing import Final
from uuid import UUID

from aiohttp import web

from shared.publishing import Publishing
from worker.console.runs.canceling import CancelForm, Refused, request_cancel
from worker.console.runs.numbers import run_number
from worker.console.runs.run_view import MOST, view_of
from worker.console.web.rendering import page
from worker.console.web.request_keys import session_of
from worker.runs.store import RunHistory, find_run

_EMPTY: Final = CancelForm("", force=False)


class RunPage:
    def __init__(self, publishing: Publishing) -> None:
        self._publishing = publishing

    async def show(self, request: web.Request) -> web.Response:
        """GET /runs/N"""
        found = await self._find(request)
        return _page(request, found, _EMPTY, requested=_command(request.query.get("requested")))

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """POST /runs/N/cancel"""
        found, posted = await self._find(request), await request.post()
        form = CancelForm(str(posted.get("reason", "")).strip(), posted.get("force") == "yes")
        asked = await request_cancel(self._publishing, found, form, session_of(request).subject)
        if isinstance(asked, Refused):
            return _page(request, found, form, refused=asked)
        raise web.HTTPSeeOther(f"/runs/{found.run['run_id']}?requested={asked}")

    async def _find(self, request: web.Request) -> RunHistory:
        try:
            run_id = run_number(request.match_info["run_id"])
        except ValueError as error:
            raise web.HTTPNotFound(text=f"{error}.") from None
        found = await find_run(self._publishing.database, run_id, MOST + 1)
        if found is None:
            raise web.HTTPNotFound(text=f"Run {run_id} is not on record.")
        return found


def _page(
    request: web.Request,
    found: RunHistory,
    form: CancelForm,
    requested: UUID | None = None,
    refused: Refused | None = None,
) -> web.Response:
    problem, status = (None, 200) if refused is None else (refused.problem, refused.status)
    values = {**view_of(found, requested), **asdict(form), "problem": problem}
    return page("run.html", request, values, status=status)


def _command(text: str | None) -> UUID | None:
    """The id in an address; None if it is none."""
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None
