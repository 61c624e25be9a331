"""GET /audit: who did what, when, to what."""

from aiohttp import web

from shared.postgres.database import Database
from worker.console.audit.listing import LOOKED_AT, Kind, Position, Wanted, find
from worker.console.audit.wording import KINDS, said
from worker.console.web.query import Query, minute, name, one_of
from worker.console.web.rendering import page


class AuditPage:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def handle(self, request: web.Request) -> web.Response:
        query = Query(request.query)
        wanted = Wanted(
            query.parsed("kind", one_of(Kind)) or Kind.ACTIONS,
            query.parsed("by", name),
            query.parsed("since", minute),
            query.parsed("until", minute),
            query.parsed("before", _position),
        )
        values = {
            "kinds": KINDS,
            "wanted": wanted,
            "problems": query.problems,
            "looked_at": LOOKED_AT,
        }
        if query.problems:
            return page("audit.html", request, {**values, "entries": [], "listed": None}, 400)
        listed = await find(self._database, wanted)
        older = None
        if listed.before is not None:
            older = request.rel_url.update_query(before=str(listed.before))
        entries = [(entry, said(entry)) for entry in listed.entries]
        shown = {**values, "listed": listed, "entries": entries, "older": older}
        return page("audit.html", request, shown)


def _position(text: str) -> Position:
    found = Position.parse(text)
    if found is None:
        raise ValueError("is not as in a link of this page")
    return found
