"""Which dead letters are wanted: a filter, and its conditions in SQL."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import StrEnum
from typing import Final

from shared.errors import UserError
from shared.postgres import sql
from shared.states import DeadReason

MAX_SEARCHED: Final = 1000
"""Characters of a text to search for."""
_INDEXED: Final = re.compile(r"[a-z0-9]{3}", re.IGNORECASE)


class LetterState(StrEnum):
    WAITING = "waiting"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


class GroupBy(StrEnum):
    """What letters are counted by."""

    REASON = "reason"
    ERROR = "error"
    PUBLISHER = "publisher"
    RUN = "run"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Filter:
    """Selects letters; None matches all. Ages count from a letter's arrival in Postgres.

    `error` is a group of errors as `count` names them, such as `run * not found`.
    `UNKNOWN_PUBLISHER` selects letters without a known publisher. `grep` is searched, in any case,
    in the error and the body. `checked_search` says whether it can be. `up_to` leaves out letters
    with higher ids, which are stored later.
    """

    state: LetterState | None = LetterState.WAITING
    reason: DeadReason | None = None
    error: str | None = None
    publisher: str | None = None
    requested_by: str | None = None
    run_id: int | None = None
    older_than: timedelta | None = None
    newer_than: timedelta | None = None
    grep: str | None = None
    ids: tuple[int, ...] | None = None
    up_to: int | None = None


@dataclass(frozen=True, slots=True)
class Where:
    """A condition in SQL with its arguments, which are the first parameters of the statement."""

    text: str
    arguments: tuple[object, ...]

    def after(self, number: int = 1) -> str:
        """A parameter after those of the condition: the first, the second, …"""
        return f"${len(self.arguments) + number}"


def where(wanted: Filter, *, before: int | None = None, after: int | None = None) -> Where:
    """The condition for `wanted` letters with ids below `before` and above `after`.

    Raises UserError if the text of `wanted` cannot be searched for.
    """
    values = {
        **{each.name: getattr(wanted, each.name) for each in fields(wanted)},
        "before": before,
        "after": after,
    }
    search = values.pop("grep")
    conditions: list[str] = []
    arguments: list[object] = []

    def parameter(value: object) -> str:
        arguments.append(value)
        return f"${len(arguments)}"

    for name, value in values.items():
        if value is not None:
            conditions.append(sql.letter_lists.CONDITIONS[name].format(parameter(value)))
    if search is not None:
        texts = [parameter(text) for text in _written(checked_search(search))]
        conditions.append(sql.letter_lists.containing(texts))
    return Where(" AND ".join(conditions) or "true", tuple(arguments))


def checked_search(text: str) -> str:
    """`text`, if letters can be searched for it. Raises UserError.

    The index finds three letters or digits in a row. Other characters than those of ASCII have more
    than that in it.
    """
    if len(text) > MAX_SEARCHED:
        raise UserError(f"a text to search for has at most {MAX_SEARCHED} characters")
    try:
        is_indexed = len(text.encode()) > len(text) or _INDEXED.search(text)
    except UnicodeEncodeError:
        raise UserError("a text to search for must be valid UTF-8") from None
    if "\0" in text:
        raise UserError("a text to search for must not contain NUL characters")
    if len(text) < 3 or not is_indexed:
        raise UserError("a text to search for needs three letters or digits in a row")
    return text


def _written(text: str) -> Iterator[str]:
    """How `text` may be written in a letter: as it is, or in a JSON string with escapes.

    What JSON escapes has lost its case: \\u00c9 and \\u00e9 are one letter in two cases.
    """
    in_json = (json.dumps(each)[1:-1] for each in (text, text.lower(), text.upper()))
    # Others have the same without escapes, in any case.
    yield from dict.fromkeys([text, *(each for each in in_json if each.lower() != text.lower())])
