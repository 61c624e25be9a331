"""A small change to a rule, which some test should notice."""

import hashlib
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True)
class Change:
    """Replaces a part of a source text; positions count characters."""

    operator: str
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Mutant:
    """A change of one file. Two changes of a file that look alike differ by `occurrence`."""

    file: str
    scope: str
    """The function or the constant that is changed."""
    change: Change
    line: int
    before: str
    """The changed lines, as one."""
    after: str
    occurrence: int = 0

    @cached_property
    def id(self) -> str:
        """Stays the same while the lines and their place are the same, whatever is above them."""
        what = "\0".join((*self.key, str(self.occurrence)))
        return hashlib.sha256(what.encode()).hexdigest()[:8]

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.file, self.scope, self.before, self.after

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"

    def applied_to(self, source: str) -> str:
        return source[: self.change.start] + self.change.text + source[self.change.end :]


def mutant_of(file: str, scope: str, source: str, change: Change) -> Mutant:
    first = source.rfind("\n", 0, change.start) + 1
    after_last = source.find("\n", change.end)
    last = len(source) if after_last == -1 else after_last
    before = source[first:last]
    after = source[first : change.start] + change.text + source[change.end : last]
    line = source.count("\n", 0, change.start) + 1
    return Mutant(file, scope, change, line, _as_one(before), _as_one(after))


def _as_one(lines: str) -> str:
    return " ".join(lines.split())
