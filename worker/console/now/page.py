"""GET /: what is going on now."""

from aiohttp import web

from shared.postgres.database import Database
from shared.services.checks import Dependencies, Service
from worker.console.web.rendering import page


class NowPage:
    def __init__(self, database: Database, dependencies: Dependencies) -> None:
        self._database = database
        self._dependencies = dependencies

    async def handle(self, request: web.Request) -> web.Response:
        missing = {each.service: each for each in await self._dependencies.missing()}
        services = [(service, missing.get(service)) for service in Service]
        return page("now.html", request, {"services": services})
