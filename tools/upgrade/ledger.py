"""Every command that was accepted, and what became of it."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final
from uuid import uuid4

import asyncpg

_LOOK_AGAIN: Final = 0.1

# A command is told by its reason, which is in its message as well: the gateway's answer has no id.
_OUTCOMES: Final = """
    SELECT reason AS tag, coalesce(outcome, 'open') AS fate
      FROM cancellations WHERE reason = ANY ($1::text[])
"""
_LETTERS: Final = """
    SELECT tag, 'dead letter ' || l.reason AS fate
      FROM unnest($1::text[]) AS tag
      JOIN dead_letters l ON position(convert_to(tag, 'UTF8') IN l.body) > 0
"""
"""A letter's reason is why it is one."""


@dataclass(frozen=True, slots=True)
class Group:
    """Commands that were left in the same place in the same way."""

    what: str
    where: str
    tags: list[str] = field(default_factory=list)


class Ledger:
    def __init__(self, database: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._database = database
        self.groups: list[Group] = []

    def add(self, what: str, where: str, tags: Iterable[str]) -> None:
        for group in self.groups:
            if (group.what, group.where) == (what, where):
                group.tags.extend(tags)
                return
        self.groups.append(Group(what, where, list(tags)))

    @property
    def tags(self) -> list[str]:
        return [tag for group in self.groups for tag in group.tags]

    async def fates(self, tags: Sequence[str]) -> dict[str, list[str]]:
        """What is on record of each command: outcomes, and dead letters."""
        rows = [
            *await self._database.fetch(_OUTCOMES, tags),
            *await self._database.fetch(_LETTERS, tags),
        ]
        found: dict[str, list[str]] = {tag: [] for tag in tags}
        for row in rows:
            found[row["tag"]].append(row["fate"])
        return found

    async def settled(self, tags: Sequence[str], within: float) -> list[str]:
        """Wait until each of these commands has an end; those that have none by then."""
        until = monotonic() + within
        while True:
            fates = await self.fates(tags)
            left = [tag for tag, found in fates.items() if not any(map(_is_end, found))]
            if not left or monotonic() > until:
                return left
            await asyncio.sleep(_LOOK_AGAIN)

    async def rows(self) -> list[tuple[str, str, int, str]]:
        """For each group: what, where, how many, what became of them."""
        fates = await self.fates(self.tags)
        return [
            (each.what, each.where, len(each.tags), _in_words([fates[tag] for tag in each.tags]))
            for each in self.groups
        ]

    async def not_exactly_one_end(self) -> list[str]:
        fates = await self.fates(self.tags)
        return [
            f"{tag}: {' and '.join(found) or 'no trace'}"
            for tag, found in fates.items()
            if len(found) != 1 or not _is_end(found[0])
        ]


def new_tag(way: str, run_id: int) -> str:
    return f"{way}-{run_id}-{uuid4().hex[:8]}"


def published(tag: str, run_id: int, command_id: str, **more: str) -> bytes:
    said = {"command_id": command_id, "run_id": run_id, "reason": tag, **more}
    return json.dumps(said).encode()


def _is_end(fate: str) -> bool:
    return fate != "open"


def _in_words(fates: Iterable[Sequence[str]]) -> str:
    counts = Counter(" and ".join(sorted(found)) or "no trace" for found in fates)
    return ", ".join(f"{number} {fate}" for fate, number in sorted(counts.items()))
