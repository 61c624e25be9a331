"""Which dead letters a page or a form is about: ids, or filters."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import urlencode

from shared.errors import UserError
from shared.states import DeadReason
from shared.text.durations import duration
from worker.console.web.query import Fields, Query, name, number, one_of
from worker.dead_letters.selection import Chosen
from worker.dead_letters.wanted import Filter, LetterState, checked_search

MOST_IDS: Final = 200
"""Letters that can be chosen one by one."""

_FILTERS: Final = (
    *("state", "reason", "error", "publisher", "requested_by", "run"),
    *("older_than", "newer_than", "search"),
)


class State(StrEnum):
    """Which letters a list has."""

    WAITING = LetterState.WAITING.value
    REPLAYED = LetterState.REPLAYED.value
    DISCARDED = LetterState.DISCARDED.value
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Asked:
    """The filters or ids that were given, and what is wrong with them in words."""

    wanted: Filter
    ids: Sequence[int]
    given: Sequence[tuple[str, str]]
    """The filters, as they were written."""
    problems: Sequence[str]
    is_all: bool
    """Whether all letters that match are asked for, and not only shown."""

    @property
    def state(self) -> State:
        return State.ALL if self.wanted.state is None else State(self.wanted.state.value)

    @property
    def chosen(self) -> Chosen:
        return self.ids or self.wanted

    @property
    def fields(self) -> list[tuple[str, str]]:
        """What a form or an address contains that asks for the same letters."""
        if self.ids:
            return [("id", str(letter)) for letter in self.ids]
        up_to = self.wanted.up_to
        frozen = [] if up_to is None else [("up_to", str(up_to))]
        return [("all", "1"), *self.given, *frozen]

    def address(self, path: str, **changed: str | None) -> str:
        """`path` with these filters, of which some are changed; None drops one."""
        filters = {**dict(self.given), **changed}
        query = urlencode({key: text for key, text in filters.items() if text is not None})
        return f"{path}?{query}" if query else path


def asked(given: Fields) -> Asked:
    """Read the query of an address, or a form."""
    query = Query(given)
    state = query.parsed("state", one_of(State)) or State.WAITING
    wanted = Filter(
        state=None if state is State.ALL else LetterState(state.value),
        reason=query.parsed("reason", one_of(DeadReason)),
        error=query.parsed("error", name),
        publisher=query.parsed("publisher", name),
        requested_by=query.parsed("requested_by", name),
        run_id=query.parsed("run", number),
        older_than=query.parsed("older_than", _duration),
        newer_than=query.parsed("newer_than", _duration),
        grep=query.parsed("search", _search),
        up_to=query.parsed("up_to", number),
    )
    written = [(key, text) for key in _FILTERS if (text := query.text(key))]
    return Asked(wanted, _ids(query), written, [*dict.fromkeys(query.problems)], "all" in given)


def _ids(query: Query) -> list[int]:
    try:
        ids = {number(text) for text in query.texts("id")}
    except ValueError as error:
        query.problems.append(f"id: {error}.")
        return []
    if len(ids) > MOST_IDS:
        query.problems.append(f"At most {MOST_IDS} letters can be chosen one by one.")
    return sorted(ids)


def _search(text: str) -> str:
    try:
        return checked_search(text)
    except UserError as error:
        raise ValueError(str(error)) from None


def _duration(text: str) -> timedelta:
    try:
        return duration(text)
    except ValueError as error:
        raise ValueError(f"{text!r} {error}") from None
