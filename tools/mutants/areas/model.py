"""An area: which rules are in which files, and which tests should notice a change of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

SQL: Final = "shared/postgres/sql/"


@dataclass(frozen=True, slots=True)
class Area:
    name: str
    files: Sequence[str]
    """Patterns; a star stands for no folder, a slash at the end for all that is below."""
    tests: Sequence[str]
    """Those that are about its rules, below `tests`; together some 20 s."""
    wider: Sequence[str]
    """Some that would notice what the area is for; only a mutant that survives meets them."""

    def has(self, file: str) -> bool:
        return matches(file, self.files)


def matches(file: str, patterns: Sequence[str]) -> bool:
    return any(
        file.startswith(pattern)
        if pattern.endswith("/")
        else pattern.count("/") == file.count("/") and fnmatchcase(file, pattern)
        for pattern in patterns
    )
