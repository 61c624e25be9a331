"""Letters that are chosen one by one, by their ids, or all together, by a filter."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from asyncpg import Record

from shared.postgres.database import Database
from worker.dead_letters import store as letter_store
from worker.dead_letters.wanted import Filter

Chosen: TypeAlias = Sequence[int] | Filter

_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Selection:
    """The letters with their bodies, by ascending id; `missing` are ids without a letter."""

    letters: AsyncIterator[Record]
    total: int
    missing: list[int]


def as_filter(chosen: Chosen) -> Filter:
    """`chosen` as a filter; of ids, letters in any state."""
    if isinstance(chosen, Filter):
        return chosen
    return Filter(state=None, ids=tuple(sorted(set(chosen))))


async def missing_of(database: Database, chosen: Chosen) -> list[int]:
    """Which of the chosen ids no letter has."""
    if isinstance(chosen, Filter):
        return []
    return await letter_store.missing(database, chosen)


async def select(database: Database, chosen: Chosen) -> Selection:
    """Select the chosen letters. They are read page by page, as they are asked for.

    Those that are stored meanwhile are left out: a letter that dies again would be replayed again.
    Raises UserError if the text of a filter cannot be searched for.
    """
    wanted = as_filter(chosen)
    if wanted.up_to is None:
        wanted = replace(wanted, up_to=await letter_store.latest(database))
    total = await letter_store.total(database, wanted)
    return Selection(_pages(database, wanted), total, await missing_of(database, chosen))


async def _pages(database: Database, wanted: Filter) -> AsyncIterator[Record]:
    after = 0
    while page := await letter_store.next_of(database, wanted, after, _PAGE):
        for letter in page:
            yield letter
        after = page[-1]["letter_id"]
