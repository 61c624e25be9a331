"""Which columns of a table fit on a terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import east_asian_width

_NARROWEST = 16
"""Columns that text which wraps is given at least."""
_PADDING = 2
"""Columns that rich leaves blank beside each column without a box."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column with its cells. If it `wraps`, it may be narrower than they are."""

    heading: str
    cells: Sequence[str]
    wraps: bool

    @property
    def least(self) -> int:
        widest = max(map(_width, (self.heading, *self.cells)))
        return min(widest, _NARROWEST) if self.wraps else widest


def _width(text: str) -> int:
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def fit(columns: Sequence[Column], may_hide: Sequence[str], width: int) -> list[Column] | None:
    """The columns that fit `width`, without as few as possible of those in `may_hide`.

    None if the others alone do not fit.
    """
    shown, left = list(columns), list(may_hide)
    while sum(column.least + _PADDING for column in shown) > width:
        if not left:
            return None
        hidden = left.pop(0)
        shown = [column for column in shown if column.heading != hidden]
    return shown
