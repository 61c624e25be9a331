"""GET /hosts and /hosts/NAME."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from asyncpg import Record

from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import HostState
from worker.console.web.query import Query, one_of
from worker.console.web.query import name as query_name
from worker.console.web.rendering import page
from worker.hosts.wording import can

_PAGE: Final = 100
"""Hosts on a page."""
_SHOWN: Final = 100
"""Runs, open commands and actions of a host."""


@dataclass(frozen=True, slots=True)
class HostDetails:
    host: Record
    runs: Sequence[Record]
    commands: Sequence[Record]
    actions: Sequence[Record]
    """The newest first."""


class HostPages:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, request: web.Request) -> web.Response:
        query = Query(request.query)
        after = query.parsed("after", query_name) or ""
        state = query.parsed("state", one_of(HostState))
        found = (
            []
            if query.problems
            else await self._database.fetch(sql.now.PAGE_OF_HOSTS, after, _PAGE + 1, state)
        )
        hosts, more = found[:_PAGE], len(found) > _PAGE
        return page(
            "hosts.html",
            request,
            {
                "hosts": hosts,
                "problems": query.problems,
                "state": state,
                "states": list(HostState),
                "after": after,
                "next": hosts[-1]["host"] if more else None,
            },
        )

    async def show(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        found = await self._find(name)
        if found is None:
            raise web.HTTPNotFound(text=f"host {name!r} not found")
        privileges = found.host["privileges"]
        return page(
            "host.html",
            request,
            {
                "host": found.host,
                "runs": found.runs,
                "commands": found.commands,
                "actions": found.actions,
                "can": can(json.loads(privileges) if privileges else {}),
                "shown": _SHOWN,
            },
        )

    async def _find(self, name: str) -> HostDetails | None:
        if "\0" in name:
            return None  # Postgres has no such text
        async with self._database.connection() as connection:
            host = await connection.fetchrow(sql.hosts.LIST_HOSTS, name)
            if host is None:
                return None
            return HostDetails(
                host,
                await connection.fetch(sql.now.LIVE_ON_HOST, name, _SHOWN),
                await connection.fetch(sql.hosts.LIST_OPEN_COMMANDS, name),
                await connection.fetch(sql.now.LATEST_ACTIONS_OF_HOST, name, _SHOWN),
            )
