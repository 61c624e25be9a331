"""One list of who did what, from several tables, the newest first, page by page."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from shared.limits import BIGINT_MAX
from shared.postgres import sql
from shared.postgres.database import Database

PAGE: Final = 50
LOOKED_AT: Final = 3_000
"""Rows of each table that a page looks at, at most, for entries that it wants."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FAR: Final = datetime(9000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_POSITION: Final = re.compile(r"([0-9]{1,17})\.([a-z]{1,10})\.([0-9a-f-]{1,36})")
_ORDER: Final = tuple(sql.audit.SOURCES)


class Kind(StrEnum):
    """What a list tells of."""

    ACTIONS = "actions"
    """All but cancels, of which there may be thousands a day."""
    ALL = "all"
    LETTERS = "letters"
    HOSTS = "hosts"
    CANCELS = "cancels"
    SIGN_INS = "sign-ins"
    PRUNES = "prunes"


_WANTED: Final[Mapping[Kind, Mapping[str, list[str] | None]]] = {
    Kind.ACTIONS: {"letter": None, "host": None, "other": None},
    Kind.ALL: dict.fromkeys(_ORDER),
    Kind.LETTERS: {"letter": None},
    Kind.HOSTS: {"host": None, "other": ["host_forgotten"]},
    Kind.CANCELS: {"cancel": None},
    Kind.SIGN_INS: {"other": ["signed_in"]},
    Kind.PRUNES: {"other": ["pruned"]},
}
"""The tables of each kind, and which actions of them; None for all."""


@dataclass(frozen=True, slots=True)
class Position:
    """The place of an entry in the list. As text, it is part of a link."""

    at: datetime
    source: str
    key: str

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // _MICROSECOND}.{self.source}.{self.key}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        found = _POSITION.fullmatch(text)
        if found is None or found[2] not in _ORDER:
            return None
        try:
            _key(found[2], found[3])
        except ValueError:
            return None
        return cls(_EPOCH + int(found[1]) * _MICROSECOND, found[2], found[3])

    @property
    def order(self) -> tuple[timedelta, int]:
        """Sorts positions as in the list. Those of one source and time are equal."""
        return _EPOCH - self.at, _ORDER.index(self.source)

    def bound_of(self, source: str) -> tuple[datetime, int | UUID]:
        """Time and key below which the entries of `source` come later in the list."""
        if source == self.source:
            return self.at, _key(source, self.key)
        # Of those at the same time, all or none.
        is_later = _ORDER.index(source) > _ORDER.index(self.source)
        return (self.at + _MICROSECOND if is_later else self.at), _lowest(source)


@dataclass(frozen=True, slots=True)
class Wanted:
    kind: Kind = Kind.ACTIONS
    by: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: Position | None = None
    """The end of the page before."""


@dataclass(frozen=True, slots=True)
class Entry:
    position: Position
    by: str
    action: str
    object: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """`before`: where the next page begins, None on the last one."""

    entries: list[Entry]
    before: Position | None
    looked_back_to: datetime | None = None
    """If the page may have fewer entries than there are: the time up to which it looked."""


async def find(database: Database, wanted: Wanted) -> Listed:
    entries: list[Entry] = []
    ends: list[Position] = []
    for source, actions in _WANTED[wanted.kind].items():
        # Cancels without a name are no entries.
        is_filtered = wanted.by is not None or actions is not None or source == "cancel"
        looked_at = LOOKED_AT if is_filtered else PAGE + 1
        rows = await database.fetch(
            sql.audit.newest(source, looked_at),
            *_start(wanted, source),
            wanted.since or _EPOCH,
            wanted.by,
            actions,
            PAGE + 1,
        )
        ends += [_position(row, source) for row in rows if row["is_end"]]
        entries += _entries(rows, source)
    return _merged(entries, ends)


def _start(wanted: Wanted, source: str) -> tuple[datetime, int | UUID]:
    starts = [(wanted.until or _FAR, _lowest(source))]
    if wanted.before is not None:
        starts.append(wanted.before.bound_of(source))
    return min(starts, key=lambda start: start[0])


def _merged(entries: list[Entry], ends: list[Position]) -> Listed:
    """One page. What comes after the first of the `ends` may be incomplete, and waits."""
    # Stable: within one source, entries come in order.
    entries.sort(key=lambda entry: entry.position.order)
    end = min(ends, key=lambda each: each.order, default=None)
    complete = [entry for entry in entries if end is None or entry.position.order <= end.order]
    if len(complete) > PAGE:
        return Listed(complete[:PAGE], complete[PAGE - 1].position)
    if end is not None:
        return Listed(complete, end, end.at)
    return Listed(complete, None)


def _entries(rows: list[Record], source: str) -> Iterator[Entry]:
    for row in rows:
        if not row["is_end"]:
            detail = json.loads(row["detail"])
            yield Entry(_position(row, source), row["by"], row["action"], row["object"], detail)


def _lowest(source: str) -> int | UUID:
    return UUID(int=0) if sql.audit.SOURCES[source].key_type == "uuid" else 0


def _key(source: str, text: str) -> int | UUID:
    """Raises ValueError."""
    if sql.audit.SOURCES[source].key_type == "uuid":
        return UUID(text)
    if int(text) > BIGINT_MAX:
        raise ValueError("out of range")
    return int(text)


def _position(row: Record, source: str) -> Position:
    return Position(row["at"], source, row["key"])
