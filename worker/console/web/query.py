"""Reads what a page was asked for: filters in its address, fields of a form."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol, TypeVar

from shared.limits import BIGINT_MAX

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


class Fields(Protocol):
    """The query of an address, or a form: each name may be there several times."""

    def getall(self, key: str, default: list[object]) -> Sequence[object]: ...

    def __contains__(self, key: object) -> bool: ...


class Query:
    """Reads fields one by one, and collects what is wrong with them, each in one line."""

    def __init__(self, given: Fields) -> None:
        self._given = given
        self.problems: list[str] = []

    def texts(self, name: str) -> list[str]:
        """All fields of this name that are no files, without spaces around them."""
        return [text.strip() for text in self._given.getall(name, []) if isinstance(text, str)]

    def text(self, name: str) -> str | None:
        """The field; None if it is empty."""
        given = self.texts(name)
        if len(given) > 1:
            self.problems.append(f"{name}: can be given only once.")
        return given[0] or None if given else None

    def parsed(self, name: str, parse: Callable[[str], T]) -> T | None:
        """The field as `parse` reads it, whose ValueError says in words what is wrong."""
        given = self.text(name)
        if given is None:
            return None
        try:
            return parse(given)
        except ValueError as error:
            self.problems.append(f"{name}: {error}.")
            return None


def one_of(values: type[E]) -> Callable[[str], E]:
    """Reads a value of an enum."""

    def parse(text: str) -> E:
        try:
            return values(text)
        except ValueError:
            raise ValueError(f"{text!r} is none of {', '.join(values)}") from None

    return parse


def name(text: str) -> str:
    """Reads a name of at most 255 characters. Raises ValueError if Postgres cannot store it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid UTF-8") from None
    if "\0" in text or len(text) > 255:
        raise ValueError("has at most 255 characters, and no NUL")
    return text


def number(text: str) -> int:
    """Reads the number of a letter or a run. Raises ValueError."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:20]) <= BIGINT_MAX):
        raise ValueError(f"{text!r} is no number from 1 to {BIGINT_MAX}")
    return int(text)


def minute(text: str) -> datetime:
    """Reads a time in UTC as a browser's field for it sends it. Raises ValueError."""
    try:
        read = datetime.fromisoformat(text)
        at = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time like 2026-01-31T23:59") from None
    if not 1970 <= at.year < 9000:
        raise ValueError(f"{text!r} is out of range")
    return at
