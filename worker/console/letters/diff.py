"""What an edit changes, line by line."""

import difflib
from dataclasses import dataclass
from typing import Final

from worker.dead_letters.bodies.body_text import indented

MOST_LINES: Final = 500
"""Lines of each side: comparing takes a time that grows with their product."""
_MOST_INDENTED: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    mark: str
    """As in a unified diff: a space, + or -."""
    text: str


def changes(before: str, after: str) -> list[Line] | None:
    """The changed lines with those around them, of JSON indented; None if there are too many."""
    old = (indented(before, _MOST_INDENTED) or before).splitlines()
    new = (indented(after, _MOST_INDENTED) or after).splitlines()
    if max(len(old), len(new)) > MOST_LINES:
        return None
    lines = list(difflib.unified_diff(old, new, lineterm="", n=3))
    return [Line(line[:1], line[1:]) for line in lines[2:] if not line.startswith("@@")]
