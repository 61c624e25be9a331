"""SQL as tokens, as it stands in a source: placeholders of templates are tokens of their own."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"""
      (?P<skipped> \s+ | --[^\n]* )
    | (?P<string>  '(?:[^']|'')*' | "[^"\n]*" )
    | (?P<word>    [A-Za-z_][A-Za-z0-9_]* | \{[^{}]*\} | \{\{[^{}]*\}\} | \$\d+ | \d+(?:\.\d+)? )
    | (?P<symbol>  => | ->> | \#>> | -> | <> | <= | >= | \|\| | :: | \?[|&]? | @> | . )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    start: int
    end: int
    is_string: bool
    depth: int
    """The parentheses around it."""

    @property
    def word(self) -> str:
        """As a keyword is compared; empty for a string."""
        return "" if self.is_string else self.text.upper()


def tokens(source: str, start: int = 0, end: int | None = None) -> Sequence[Token]:
    return list(_scan(source, start, len(source) if end is None else end))


def _scan(source: str, start: int, end: int) -> Iterator[Token]:
    depth = 0
    for match in _TOKEN.finditer(source, start, end):
        if match.lastgroup == "skipped":
            continue
        text = match.group()
        depth -= text == ")"
        yield Token(text, match.start(), match.end(), match.lastgroup == "string", depth)
        depth += text == "("
