"""Idempotency-Key: the id of a request's command, and the first answer to a repeated request."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from aiohttp import web
from asyncpg import Record

from gateway.cancels.answers import BAD_KEY, KEY_HEADER, RunState
from gateway.http.errors import invalid
from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import Outcome, RunStatus

# UUID() accepts braces, prefixes and misplaced hyphens.
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class Recorded(NamedTuple):
    """A command on record."""

    run_id: int
    force: bool
    state: RunState
    """The state of the run when the command was requested."""


def uuid_of(text: str) -> UUID | None:
    """The UUID that `text` is in its usual form, of either case."""
    return UUID(text) if _UUID.fullmatch(text) else None


def key_of(request: web.Request) -> UUID | None:
    """The key in the request, if it has one. Raises ApiError 400."""
    given = request.headers.getall(KEY_HEADER, ())
    if not given:
        return None
    key = uuid_of(given[0]) if len(given) == 1 else None
    if key is None:
        raise invalid({KEY_HEADER: BAD_KEY})
    return key


async def recorded(database: Database, command_ids: Sequence[UUID]) -> dict[UUID, Recorded]:
    """Those of the commands that are on record."""
    rows = await database.fetch(sql.cancellations.FIND_COMMANDS, command_ids)
    return {
        row["command_id"]: Recorded(row["run_id"], row["force"], _state_when_requested(row))
        for row in rows
    }


def _state_when_requested(row: Record) -> RunState:
    """The state that the first answer was made from, by the run's times."""
    # Not after the command was received: what it did itself came after that.
    received = row["received_at"]
    at = min(row["requested_at"] or received, received)
    if row["finished_at"] is not None and row["finished_at"] <= at:
        looked = row["looked"] or row["outcome"] != Outcome.NO_OP
        return RunState(RunStatus(row["status"]), leftovers_possible=looked)
    if row["canceling_at"] is not None and row["canceling_at"] <= at:
        return RunState(RunStatus.CANCELING)
    return RunState(RunStatus.RUNNING)
