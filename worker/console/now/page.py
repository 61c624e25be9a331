"""GET /: what is going on now."""

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from shared.postgres import sql
from shared.postgres.database import Database
from shared.services.checks import Dependencies, Service
from worker.console.now import activity
from worker.console.now.services import Queues, queues_now
from worker.console.now.stops import Phase
from worker.console.runbook.sections import OF_SERVICE, Section
from worker.console.web.rendering import page

_OF_PHASE: Final[Mapping[Phase, Section]] = {
    Phase.WAITING: Section.HOST_SILENT,
    Phase.OVERDUE: Section.STOP_OVERDUE,
    Phase.FAILED: Section.STOP_FAILED,
}
"""What to do about a stop in a phase that is bad."""


class NowPage:
    def __init__(self, database: Database, dependencies: Dependencies, queues: Queues) -> None:
        self._database = database
        self._dependencies = dependencies
        self._queues = queues

    async def handle(self, request: web.Request) -> web.Response:
        found = await activity.read(self._database)
        missing = {each.service: each for each in await self._dependencies.missing()}
        return page(
            "now.html",
            request,
            {
                # Deadlines are Postgres' times.
                "now": found.at,
                "activity": found,
                "services": [(service, missing.get(service)) for service in Service],
                "queues": queues_now(self._queues),
                "most": sql.now.MOST,
                "most_letters": sql.now.MOST_LETTERS,
                "of_phase": _OF_PHASE,
                "of_service": OF_SERVICE,
            },
        )
