"""`dead-letters replay`: replays letters, and shows the progress."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from asyncpg import Record

from shared.command_line.cli import with_database
from shared.command_line.publishing_cli import with_publisher
from shared.command_line.terminal import Bar, Bars, progress
from shared.errors import UserError
from shared.lifecycle import stop_requested
from shared.postgres.database import Database
from shared.publishing import Publishing
from worker.dead_letters.bodies.editing import editable, edited
from worker.dead_letters.kinds import kind_of
from worker.dead_letters.replays.replay import Options, Replayer, Summary
from worker.dead_letters.replays.replaying import replay as replay_chosen
from worker.dead_letters.replays.replaying import replay_edited, to_edit
from worker.dead_letters.selection import Chosen

T = TypeVar("T")


class Shown:
    """Shows the progress of a replay."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._bar: Bar | None = None

    def sending(self, total: int) -> None:
        self._bar = self._bars.begin("replaying", total)

    def sent(self) -> None:
        if self._bar is not None:
            self._bar.advance()

    def waiting(self, total: int) -> None:
        self._bar = self._bars.begin("waiting", total)

    def decided(self, number: int) -> None:
        if self._bar is not None:
            self._bar.move_to(number)


def replay(chosen: Chosen, options: Options) -> Summary:
    """Replay the chosen letters. SIGINT and SIGTERM end it after those in flight.

    Raises InvalidSettings, SchemaError and ServiceUnavailable.
    """

    async def work(database: Database, replayer: Replayer) -> Summary:
        stop = stop_requested()
        with progress() as bars:
            return await replay_chosen(database, replayer, chosen, options, stop, Shown(bars))

    return with_replayer(work)


def edit_one(letter_id: int, options: Options) -> Summary:
    """Let the operator edit a letter's body, and publish it as a new command or registration.

    Raises UserError if nothing is published.
    """
    letter = with_database(partial(to_edit, letter_id=letter_id, force=options.force))
    other = edited(letter["routing_key"], _edited_text(letter))

    async def work(database: Database, replayer: Replayer) -> Summary:
        stop = stop_requested()
        with progress() as bars:
            shown = Shown(bars)
            return await replay_edited(database, replayer, letter, other, options, stop, shown)

    return with_replayer(work)


def with_replayer(work: Callable[[Database, Replayer], Awaitable[T]]) -> T:
    """Do `work` with the configured database and broker. Raises like `with_publisher`."""

    async def replay(with_: Publishing) -> T:
        replayer = Replayer(with_.database, with_.publisher, with_.topology, with_.broker_user)
        return await work(with_.database, replayer)

    return with_publisher("cancel-worker dead-letters", replay)


def _edited_text(letter: Record) -> str:
    text = editable(letter)
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, f"{kind_of(letter['routing_key'])}.json")
        path.write_text(text, encoding="utf-8")
        try:
            ended = subprocess.run([*shlex.split(editor), str(path)], check=False)
        except OSError as error:
            raise UserError(f"cannot start the editor {editor}: {error.strerror}") from None
        try:
            now = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise UserError("the edited body is not valid UTF-8") from None
    if ended.returncode != 0 or now == text:
        raise UserError("the body was not changed, so nothing was sent")
    return now
