"""`dead-letters replay`: selects letters, replays them, shows the progress."""

import asyncio
import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

from asyncpg import Record
from pydantic import ValidationError

from shared.cli import Publishing, with_database, with_publisher
from shared.commands import CancelCommand
from shared.errors import UserError
from shared.lifecycle import stop_requested
from shared.output import progress
from shared.postgres.database import Database
from shared.registrations import QUEUED_TYPE
from worker.dead_letters import store as letter_store
from worker.dead_letters.kinds import is_registration, kind_of
from worker.dead_letters.replay import (
    Options,
    Replayer,
    Summary,
    all_of,
    is_cut,
    skip_reason,
    these,
)
from worker.dead_letters.replay_results import Result, ResultWatch
from worker.dead_letters.replayed import replayed, replayed_edited
from worker.dead_letters.reports import body_as_text
from worker.dead_letters.store import Filter, GroupBy
from worker.messages.command_reader import read
from worker.messages.conversion import Undeliverable
from worker.messages.json_body import first_problem
from worker.registering.message import QueuedRun, read_registration

T = TypeVar("T")
Chosen = list[int] | Filter


def replay(chosen: Chosen, options: Options) -> Summary:
    """Replay the chosen letters. SIGINT and SIGTERM end it after those in flight.

    Raises InvalidSettings, SchemaError and ServiceUnavailable.
    """

    async def work(database: Database, replayer: Replayer) -> Summary:
        stop = stop_requested()
        watch = None if options.wait is None else await ResultWatch.create(database)
        letters, total, missing = await _choose(database, chosen)

        with progress() as bar:
            task = bar.add_task("replaying", total=total)

            def done(letter: Record) -> None:
                bar.advance(task)
                if watch is not None:
                    watch.add(replayed(letter))

            summary = await replayer.replay(letters, options, stop, done)
        summary.missing = missing
        if watch is not None and options.wait is not None:
            summary.results = await _results(watch, options.wait, stop, summary.replayed)
        summary.interrupted = stop.is_set() and summary.failed is None
        return summary

    return _with_replayer(work)


async def to_replay(database: Database, chosen: Chosen, *, force: bool) -> list[Record]:
    """The letters that a replay would publish now."""
    letters, _, _ = await _choose(database, chosen)
    return [
        letter
        async for letter in letters
        if not is_cut(letter) and (force or skip_reason(letter) is None)
    ]


def edit_one(letter_id: int, options: Options) -> Summary:
    """Let the operator edit a letter's body, and publish it as a new command or registration.

    Raises UserError if nothing is published.
    """
    found = with_database(lambda database: letter_store.find_some(database, [letter_id]))
    if not found:
        raise UserError(f"dead letter {letter_id} not found")
    (letter,) = found
    if not options.force and (reason := skip_reason(letter)):
        raise UserError(f"dead letter {letter_id} was {reason}; --force replays it anyway")
    body, asks = _as_asked(letter, _edited(letter))
    command_id = asks.command_id if isinstance(asks, CancelCommand) else None

    async def work(database: Database, replayer: Replayer) -> Summary:
        stop = stop_requested()
        watch = None if options.wait is None else await ResultWatch.create(database)
        await replayer.replay_edited(letter, body, command_id, options.by)
        summary = Summary(replayed=1, edited_as=command_id)
        if watch is not None and options.wait is not None:
            watch.add(replayed_edited(letter_id, asks, body))
            summary.results = await _results(watch, options.wait, stop, total=1)
        summary.interrupted = stop.is_set()
        return summary

    return _with_replayer(work)


async def _results(
    watch: ResultWatch, wait: float, stop: asyncio.Event, total: int
) -> list[Result]:
    with progress() as bar:
        task = bar.add_task("waiting", total=total)
        return await watch.wait(wait, stop, lambda decided: bar.update(task, completed=decided))


def _with_replayer(work: Callable[[Database, Replayer], Awaitable[T]]) -> T:
    async def replay(with_: Publishing) -> T:
        replayer = Replayer(with_.database, with_.publisher, with_.topology, with_.broker_user)
        return await work(with_.database, replayer)

    return with_publisher("cancel-worker dead-letters", replay)


async def _choose(
    database: Database, chosen: Chosen
) -> tuple[AsyncIterator[Record], int, list[int]]:
    """The letters, their number, and the ids that were not found."""
    if isinstance(chosen, Filter):
        counts = await letter_store.count(database, chosen, GroupBy.STATE)
        return all_of(database, chosen), sum(row["letters"] for row in counts), []
    found = await letter_store.find_some(database, chosen)
    missing = sorted(set(chosen) - {letter["letter_id"] for letter in found})
    return these(found), len(found), missing


def _edited(letter: Record) -> str:
    text = body_as_text(letter["body"], is_cut=is_cut(letter))
    if text is None:
        raise UserError("the body is not text and cannot be edited")
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, f"{kind_of(letter['routing_key'])}.json")
        path.write_text(text)
        try:
            ended = subprocess.run([*shlex.split(editor), str(path)], check=False)
        except OSError as error:
            raise UserError(f"cannot start the editor {editor}: {error.strerror}") from None
        edited = path.read_text()
    if ended.returncode != 0 or edited == text:
        raise UserError("the body was not changed, so nothing was sent")
    return edited


def _as_asked(letter: Record, text: str) -> tuple[bytes, CancelCommand | QueuedRun]:
    """The edited text as a body, and what it asks for. Raises UserError."""
    if not is_registration(letter["routing_key"]):
        return _as_command(text, uuid4())
    body = text.encode()
    try:
        return body, read_registration(QUEUED_TYPE, body)
    except Undeliverable as error:
        raise UserError(f"the edited body is not a registration: {error}") from None


def _as_command(text: str, command_id: UUID) -> tuple[bytes, CancelCommand]:
    """The edited text as a body with a new command id, and its command."""
    body = _with_id(text, command_id).encode()
    try:
        return body, read(body).command
    except ValidationError as error:
        raise UserError(
            f"the edited body is not a cancel command: {first_problem(error)}"
        ) from None


def _with_id(text: str, command_id: UUID) -> str:
    try:
        said = json.loads(text)
    except ValueError:
        return text
    return json.dumps({**said, "command_id": str(command_id)}) if isinstance(said, dict) else text
