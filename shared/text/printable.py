"""Escapes untrusted text for output. Standard library only: the launcher needs it too."""

import json
from typing import Final

# Python calls these printable, but they are invisible: fillers, joiners, variation selectors.
_INVISIBLE: Final = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
            *range(0x180B, 0x1810),
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
        ),
    )
)


def printable(text: str) -> str:
    """`text` as one line without terminal sequences or invisible characters.

    Control characters, direction marks, invisible characters and lone surrogates are escaped as in
    Python: `\\x1b`, `\\u202e`.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _shows(c) else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """`text` likewise, line by line."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(line: str) -> str:
    """The same JSON on one line, with such characters as JSON escapes."""
    if line.isascii() and line.isprintable():
        return line
    return "".join(c if _shows(c) else json.dumps(c)[1:-1] for c in line)


def _shows(char: str) -> bool:
    return char.isprintable() and char not in _INVISIBLE
