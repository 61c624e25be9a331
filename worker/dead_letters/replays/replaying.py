"""Replays chosen letters from the selection to the results, for whoever shows the progress."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from asyncpg import Record

from shared.errors import UserError
from shared.postgres.database import Database
from worker.dead_letters.bodies.editing import Edited
from worker.dead_letters.replays.planning import MAX_REPLAYS, Planned, planned
from worker.dead_letters.replays.replay import Options, Replayer, Summary
from worker.dead_letters.replays.replay_results import Result, ResultWatch
from worker.dead_letters.replays.replayed import replayed, replayed_edited
from worker.dead_letters.selection import Chosen, select
from worker.dead_letters.store import next_of
from worker.dead_letters.wanted import Filter


class Progress(Protocol):
    def sending(self, total: int) -> None:
        """The letters are being published; there are `total`."""

    def sent(self) -> None:
        """One more letter was published and marked."""

    def waiting(self, total: int) -> None:
        """The results of `total` letters are awaited."""

    def decided(self, number: int) -> None:
        """The results of `number` letters are known."""


async def replay(
    database: Database,
    replayer: Replayer,
    chosen: Chosen,
    options: Options,
    stop: asyncio.Event,
    progress: Progress,
) -> Summary:
    """Replay the chosen letters. Those in flight are finished once `stop` is set.

    Raises ServiceUnavailable, and UserError if the text of a filter cannot be searched for.
    """
    watch = None if options.wait is None else await ResultWatch.create(database)
    selection = await select(database, chosen)
    progress.sending(selection.total)

    def done(letter: Record) -> None:
        progress.sent()
        if watch is not None:
            watch.add(replayed(letter))

    summary = await replayer.replay(selection.letters, options, stop, done)
    summary.missing = selection.missing
    if watch is not None:
        summary.results = await results_of(watch, options, stop, progress, summary.replayed)
    summary.interrupted = stop.is_set() and summary.failed is None
    return summary


async def to_edit(database: Database, letter_id: int, *, force: bool) -> Record:
    """The letter, if it may be replayed with another body. Raises UserError."""
    found = await next_of(database, Filter(state=None, ids=(letter_id,)), 0, 1)
    if not found:
        raise UserError(f"dead letter {letter_id} not found")
    (letter,) = found
    if (why := why_not_edited(letter, force=force)) is not None:
        raise UserError(f"dead letter {letter_id} was {why}; --force replays it anyway")
    return letter


def why_not_edited(letter: Record, *, force: bool) -> str | None:
    """What was done with a letter that is not replayed with another body, except by force."""
    match planned(letter, force=force, is_edited=True):
        case Planned.DISCARDED:
            return "discarded"
        case Planned.TOO_OFTEN:
            return f"replayed {MAX_REPLAYS} times already"
    return None


async def replay_edited(
    database: Database,
    replayer: Replayer,
    letter: Record,
    edited: Edited,
    options: Options,
    stop: asyncio.Event,
    progress: Progress,
) -> Summary:
    """Publish `letter` with another body. Raises ServiceUnavailable and PublishRefused."""
    watch = None if options.wait is None else await ResultWatch.create(database)
    await replayer.replay_edited(letter, edited.body, edited.command_id, options.by)
    summary = Summary(replayed=1, edited_as=edited.command_id)
    if watch is not None:
        watch.add(replayed_edited(letter["letter_id"], edited.asks, edited.body))
        summary.results = await results_of(watch, options, stop, progress, total=1)
    summary.interrupted = stop.is_set()
    return summary


async def results_of(
    watch: ResultWatch, options: Options, stop: asyncio.Event, progress: Progress, total: int
) -> Sequence[Result]:
    """The results of the letters of `watch`, with `options.wait` seconds for them to come."""
    progress.waiting(total)
    return await watch.wait(options.wait or 0, stop, progress.decided)
