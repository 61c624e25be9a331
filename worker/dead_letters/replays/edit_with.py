"""Has a program edit the bodies of dead letters: each from its stdin to its stdout."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from asyncpg import Record

from shared.commands import MAX_BODY
from shared.errors import PublishRefused, ServiceUnavailable, UserError
from shared.postgres.database import Database
from worker.dead_letters.bodies.edit_program import run
from worker.dead_letters.bodies.editing import Edited, edited
from worker.dead_letters.replays.planning import Planned, planned
from worker.dead_letters.replays.replay import Options, Pace, Replayer, Summary
from worker.dead_letters.replays.replay_results import ResultWatch
from worker.dead_letters.replays.replayed import replayed_edited
from worker.dead_letters.replays.replaying import Progress, results_of
from worker.dead_letters.selection import Chosen, select

AT_ONCE: Final = os.cpu_count() or 1
"""How many programs run at once."""


class EditStatus(StrEnum):
    EDITED = "edited"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Edit:
    """What the program made of a letter. `text` is what it printed, `why` what failed."""

    status: EditStatus
    text: str | None = None
    edited: Edited | None = None
    why: str | None = None


async def edit(letter: Record, command: Sequence[str], stop: asyncio.Event) -> Edit | None:
    """Run `command` on the body of `letter`; None if `stop` was set before it ended.

    Raises UserError if it cannot be started.
    """
    ended = await run(command, letter["body"], MAX_BODY, stop)
    if ended is None:
        return None
    if ended.failure is not None:
        return Edit(EditStatus.FAILED, why=ended.failure)
    printed = ended.printed
    if printed.strip() == letter["body"].strip():  # most programs add a newline
        return Edit(EditStatus.UNCHANGED)
    try:
        text = printed.decode()
    except UnicodeDecodeError:
        return Edit(EditStatus.FAILED, why="the edited body is not valid UTF-8")
    try:
        return Edit(EditStatus.EDITED, text, edited(letter["routing_key"], text))
    except UserError as error:
        return Edit(EditStatus.FAILED, text, why=str(error))


async def edits(
    letters: AsyncIterator[Record],
    command: Sequence[str],
    stop: asyncio.Event,
    done: Callable[[Record, Edit], None],
) -> None:
    """Run `command` on each of `letters`, several at once; `done` is called after each.

    Raises UserError if it cannot be started.
    """
    places = asyncio.Semaphore(AT_ONCE)

    async def one(letter: Record) -> None:
        try:
            if (result := await edit(letter, command, stop)) is not None:
                done(letter, result)
        finally:
            places.release()

    async with asyncio.TaskGroup() as tasks:
        async for letter in letters:
            await places.acquire()
            if stop.is_set():
                break
            tasks.create_task(one(letter))


async def replay_edited_with(
    database: Database,
    replayer: Replayer,
    chosen: Chosen,
    command: Sequence[str],
    options: Options,
    stop: asyncio.Event,
    progress: Progress,
) -> Summary:
    """Replay the chosen letters, each with the body that `command` prints for it.

    Letters that it fails on or leaves as they are stay as they are. Raises ServiceUnavailable, and
    UserError if the command cannot be started or the text of a filter cannot be searched for.
    """
    watch = None if options.wait is None else await ResultWatch.create(database)
    selection = await select(database, chosen)
    progress.sending(selection.total)
    summary = Summary(missing=selection.missing)
    places, pace = asyncio.Semaphore(AT_ONCE), Pace(options.rate)

    async def one(letter: Record) -> None:
        try:
            result = await edit(letter, command, stop)
            if result is None:
                return
            letter_id = letter["letter_id"]
            if result.edited is None:
                summary.not_edited(letter_id, result.why)
                return
            await pace.wait()
            await replayer.replay_edited(
                letter, result.edited.body, result.edited.command_id, options.by
            )
            summary.replayed += 1
            summary.edited[letter_id] = result.edited.command_id
            progress.sent()
            if watch is not None:
                watch.add(replayed_edited(letter_id, result.edited.asks, result.edited.body))
        except (ServiceUnavailable, PublishRefused) as error:
            summary.failed = str(error)
            stop.set()  # this letter and those after it are still waiting
        finally:
            places.release()

    async with asyncio.TaskGroup() as tasks:
        async for letter in selection.letters:
            kind = planned(letter, force=options.force, is_edited=True)
            if kind is not Planned.SENT:
                summary.skip(letter["letter_id"], kind)
                continue
            await places.acquire()
            if stop.is_set():
                break
            tasks.create_task(one(letter))
    if watch is not None:
        summary.results = await results_of(watch, options, stop, progress, summary.replayed)
    summary.interrupted = stop.is_set() and summary.failed is None
    return summary
