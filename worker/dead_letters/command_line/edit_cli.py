"""`dead-letters replay --edit-with`: replays what a program prints, or shows the differences."""

import difflib
import json
import shlex
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from asyncpg import Record

from shared.command_line.cli import with_database
from shared.command_line.output import print_json, print_line
from shared.command_line.terminal import progress
from shared.errors import UserError
from shared.lifecycle import stop_requested
from shared.postgres.database import Database
from worker.dead_letters.bodies.body_text import body_as_text
from worker.dead_letters.command_line.replay_cli import Shown, with_replayer
from worker.dead_letters.command_line.reports import not_sent, print_skipped
from worker.dead_letters.replays.edit_with import Edit, EditStatus, edits, replay_edited_with
from worker.dead_letters.replays.planning import Planned, planned
from worker.dead_letters.replays.replay import Options, Replayer, Summary
from worker.dead_letters.selection import Chosen, select


def parsed(command: str) -> list[str]:
    """The words of a command line, as a shell would split it. Raises UserError."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(f"--edit-with cannot be read: {str(error).lower()}") from None
    if not words:
        raise UserError("--edit-with needs a command")
    return words


def replay(chosen: Chosen, command: Sequence[str], options: Options) -> Summary:
    """Replay the chosen letters as `command` edits them. SIGINT and SIGTERM end it.

    Raises InvalidSettings, SchemaError, ServiceUnavailable and UserError.
    """

    async def work(database: Database, replayer: Replayer) -> Summary:
        stop = stop_requested()
        with progress() as bars:
            return await replay_edited_with(
                database, replayer, chosen, command, options, stop, Shown(bars)
            )

    return with_replayer(work)


def show_differences(
    chosen: Chosen, command: Sequence[str], options: Options, *, as_json: bool
) -> None:
    """Print what `command` would change in each letter, or why it would not be sent."""

    async def work(database: Database) -> None:
        stop = stop_requested()
        selection = await select(database, chosen)
        summary = Summary(missing=selection.missing)
        shown: list[dict[str, Any]] = []

        async def to_edit() -> AsyncIterator[Record]:
            async for letter in selection.letters:
                kind = planned(letter, force=options.force, is_edited=True)
                if kind is Planned.SENT:
                    yield letter
                else:
                    summary.skip(letter["letter_id"], kind)

        def done(letter: Record, edit: Edit) -> None:
            lines = list(_difference(letter, edit))
            if as_json:
                shown.append(_described(letter, edit, lines))
                return
            for line in lines:
                print_line(line)
            if edit.status is not EditStatus.EDITED:
                print_line(f"letter {letter['letter_id']}: {not_sent(edit.why)}")

        await edits(to_edit(), command, stop, done)
        if as_json:
            print_json({"letters": shown, "missing": summary.missing})
        else:
            print_skipped(summary)
        if stop.is_set():
            raise KeyboardInterrupt

    with_database(work)


def _difference(letter: Record, edit: Edit) -> Iterator[str]:
    if edit.text is None:
        return iter(())
    before = body_as_text(letter["body"], is_cut=letter["full_size"] is not None)
    name = f"letter {letter['letter_id']}"
    old, new = _lines(before or letter["body"].decode(errors="backslashreplace"), edit.text)
    return difflib.unified_diff(old, new, name, f"{name}, edited", lineterm="")


def _lines(*texts: str) -> list[list[str]]:
    """Lines to compare: of JSON, one for each value."""
    try:
        return [
            json.dumps(json.loads(text), indent=2, ensure_ascii=False).split("\n") for text in texts
        ]
    except (ValueError, RecursionError):  # the latter: nested too deeply
        return [text.rstrip("\n").split("\n") for text in texts]


def _described(letter: Record, edit: Edit, lines: list[str]) -> dict[str, Any]:
    return {
        "letter_id": letter["letter_id"],
        "run_id": letter["run_id"],
        "status": edit.status.value,
        "error": edit.why,
        "body": edit.text,
        "diff": lines,
    }
