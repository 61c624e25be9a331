"""A fault that is put into the product on purpose."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutation:
    name: str
    breaks: str
    """The promise of which a violation must be found."""
    edits: Sequence[Edit]
    faults: Sequence[str]
    seconds: int = 12
    seed: int = 1
