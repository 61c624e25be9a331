"""GET /dead-letters: groups, filters, and a list, the newest first."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web
from asyncpg import Record

from shared.postgres.database import Database
from shared.postgres.sql.dead_letters import UNKNOWN_PUBLISHER
from shared.states import DeadReason
from worker.console.letters.filters import Asked, State, asked
from worker.console.web.query import Query, number
from worker.console.web.rendering import page
from worker.dead_letters import store as letter_store
from worker.dead_letters.kinds import kind_of
from worker.dead_letters.store import MOST_COUNTED, MOST_GROUPS

PATH: Final = "/dead-letters"
_PAGE: Final = 50
_MOST_ERRORS: Final = 12
"""Groups of errors that are shown at once."""


@dataclass(frozen=True, slots=True)
class Group:
    """Letters that have something in common. `address` lists them; None: no filter does."""

    name: str
    letters: int
    address: str | None
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Groups:
    reasons: list[Group]
    errors: list[Group]
    total: int
    """How many letters match all filters."""
    is_total: bool
    """Whether they are not more."""
    is_whole: bool
    """Whether the groups count all letters, not only the newest `MOST_COUNTED`."""


class ListPage:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def handle(self, request: web.Request) -> web.Response:
        shown = asked(request.query)
        query = Query(request.query)
        before = query.parsed("before", number)
        values = {
            "asked": shown,
            "states": list(State),
            "reasons": list(DeadReason),
            "problems": [*shown.problems, *query.problems],
            "unknown_publisher": UNKNOWN_PUBLISHER,
            "before": before,
        }
        if values["problems"]:
            return page("letters.html", request, {**values, "groups": None}, status=400)
        groups = await self._groups(shown)
        letters = await letter_store.find(self._database, shown.wanted, _PAGE + 1, before)
        older = None
        if len(letters) > _PAGE:
            older = shown.address(PATH, before=str(letters[_PAGE - 1]["letter_id"]))
        found = {
            "groups": groups,
            "letters": [(letter, kind_of(letter["routing_key"])) for letter in letters[:_PAGE]],
            "older": older,
            "replay_all": shown.address(f"{PATH}/replay", all="1"),
            "discard_all": shown.address(f"{PATH}/discard", all="1"),
            "most_errors": _MOST_ERRORS,
            "most_counted": MOST_COUNTED,
        }
        return page("letters.html", request, {**values, **found})

    async def _groups(self, shown: Asked) -> Groups:
        """Counts for all but the filter that a group would be: one query, and so one moment."""
        wanted = replace(shown.wanted, reason=None, error=None)
        counts = await letter_store.count_groups(self._database, wanted)
        rows = counts.rows
        total = sum(_letters(rows, shown.wanted.reason, shown.wanted.error).values())
        if len(rows) == MOST_GROUPS or not counts.is_whole:  # so these are not all
            total = await letter_store.total_shown(self._database, shown.wanted)
        return Groups(
            [_reason(shown, *each) for each in _by(rows, "reason", shown.wanted.error)],
            [_error(shown, *each) for each in _by(rows, "error_group", shown.wanted.reason)],
            total,
            is_total=shown.wanted.grep is None or total < MOST_COUNTED,
            is_whole=counts.is_whole,
        )


def _letters(rows: list[Record], reason: str | None, error: str | None) -> Counter[str]:
    counted: Counter[str] = Counter()
    for row in rows:
        if reason in (None, row["reason"]) and error in (None, row["error_group"]):
            counted[row["reason"]] += row["letters"]
    return counted


def _by(rows: list[Record], column: str, other: str | None) -> list[tuple[str, int]]:
    """Letters by a column, of those that have `other` in the other one; the most first."""
    other_column = "error_group" if column == "reason" else "reason"
    counted: Counter[str] = Counter()
    for row in rows:
        if other in (None, row[other_column]):
            counted[row[column]] += row["letters"]
    return counted.most_common()


def _reason(shown: Asked, reason: str, letters: int) -> Group:
    is_chosen = shown.wanted.reason == reason
    address = shown.address(PATH, reason=None if is_chosen else reason)
    return Group(reason, letters, address if reason in [*DeadReason] else None, is_chosen)


def _error(shown: Asked, error: str, letters: int) -> Group:
    is_chosen = shown.wanted.error == error
    # Spaces at its ends would be lost.
    is_filter = error == error.strip() and error
    address = shown.address(PATH, error=None if is_chosen else error)
    return Group(error, letters, address if is_filter else None, is_chosen)
