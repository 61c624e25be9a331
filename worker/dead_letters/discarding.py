"""Discards dead letters, in batches, none of which holds a lock for long."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from shared.errors import UserError
from shared.postgres.database import Database
from worker.dead_letters import store as letter_store
from worker.dead_letters.selection import Chosen, as_filter
from worker.dead_letters.wanted import LetterState

MAX_NOTE: Final = 1_000
"""Characters."""
_BATCH: Final = 1_000


async def discard(
    database: Database,
    chosen: Chosen,
    by: str,
    note: str | None = None,
    *,
    done: Callable[[int], None] = lambda number: None,
    stop: asyncio.Event | None = None,
) -> list[int]:
    """Discard the chosen letters that are waiting; the ids of those that were discarded.

    `done` is called with the number of letters of each batch that was dealt with. Once `stop` is
    set, no other batch begins. Raises ServiceUnavailable, after which the letters of the last batch
    may or may not be discarded, and UserError if the note cannot be stored.
    """
    checked = None if note is None else checked_note(note)
    waiting = replace(as_filter(chosen), state=LetterState.WAITING)
    discarded: list[int] = []
    after = 0
    while stop is None or not stop.is_set():
        batch = await letter_store.ids_of(database, waiting, after, _BATCH)
        if not batch:
            break
        discarded += await letter_store.mark_discarded(database, batch, by, checked)
        done(len(batch))
        after = batch[-1]
    return sorted(discarded)


def checked_note(note: str) -> str | None:
    """`note`, or None if it says nothing. Raises UserError if it cannot be stored."""
    try:
        note.encode()
    except UnicodeEncodeError:
        raise UserError("a note must be valid UTF-8") from None
    if "\0" in note:
        raise UserError("a note must not contain NUL characters")
    if len(note) > MAX_NOTE:
        raise UserError(f"a note has at most {MAX_NOTE} characters")
    return note.strip() or None
