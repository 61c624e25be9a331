"""`dead-letters discard`: asks, discards, shows the progress."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

from shared.command_line.cli import with_database
from shared.command_line.output import print_json, print_line
from shared.command_line.terminal import confirm, is_terminal, progress
from shared.errors import UserError
from shared.lifecycle import stop_requested
from shared.postgres.database import Database
from worker.dead_letters import discarding
from worker.dead_letters import store as letter_store
from worker.dead_letters.command_line import reports
from worker.dead_letters.selection import Chosen, as_filter, missing_of
from worker.dead_letters.wanted import Filter, LetterState


def show(chosen: Chosen, limit: int, *, as_json: bool) -> None:
    """Print the letters that would be discarded, the newest `limit`."""
    waiting = _waiting(chosen)
    total = with_database(partial(letter_store.total, wanted=waiting))
    found = with_database(partial(letter_store.find, wanted=waiting, limit=limit))
    reports.print_letters(found, as_json=as_json)
    if not as_json:
        print_line(f"would be discarded: {total}{reports.shown_of(len(found), total)}")


def discard(chosen: Chosen, by: str, note: str | None, *, is_sure: bool, as_json: bool) -> None:
    """Discard the chosen letters; unless `is_sure`, a person at a terminal is asked before.

    SIGINT and SIGTERM end it after the batch that is in hand. Raises UserError if a letter that was
    chosen by its id was not waiting, and KeyboardInterrupt if it was interrupted.
    """
    if not is_sure and is_terminal():
        total = with_database(partial(letter_store.total, wanted=_waiting(chosen)))
        confirm(f"Discard {total} dead letters?")
    done, missing, interrupted = with_database(partial(_discard, chosen=chosen, by=by, note=note))
    left = [] if isinstance(chosen, Filter) else sorted(set(chosen) - {*done} - {*missing})
    if as_json:
        print_json({"discarded": done, "not_waiting": left, "missing": missing})
    elif isinstance(chosen, Filter):
        print_line(f"discarded {len(done)}")
    else:
        for letter in done:
            print_line(f"dead letter {letter} discarded")
    if interrupted:
        raise KeyboardInterrupt
    if why := "; ".join(_why_not_discarded(missing, left)):
        raise UserError(why)


async def _discard(
    database: Database, chosen: Chosen, by: str, note: str | None
) -> tuple[list[int], list[int], bool]:
    """The ids of those discarded, the ids without a letter, and whether it was interrupted."""
    stop: asyncio.Event = stop_requested()
    missing = await missing_of(database, chosen)
    total = await letter_store.total(database, _waiting(chosen))
    with progress() as bars:
        bar = bars.begin("discarding", total)
        done = await discarding.discard(database, chosen, by, note, done=bar.advance, stop=stop)
    return done, missing, stop.is_set() and len(done) < total


def _waiting(chosen: Chosen) -> Filter:
    return replace(as_filter(chosen), state=LetterState.WAITING)


def _why_not_discarded(missing: Iterable[int], left: list[int]) -> Iterator[str]:
    for letter in missing:
        yield f"dead letter {letter} not found"
    if left:
        yield f"not discarded, because not waiting: {', '.join(map(str, left))}"
