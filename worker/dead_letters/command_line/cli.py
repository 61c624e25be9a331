"""`cancel-worker dead-letters`: parses and delegates."""

from dataclasses import replace as with_changes
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shared.command_line import cli
from shared.command_line.output import print_error
from shared.errors import ServiceUnavailable, UserError
from worker.dead_letters.command_line.filters_cli import All, Ids, filtered, warn_of
from worker.dead_letters.kinds import ReplayStatus
from worker.dead_letters.wanted import Filter, GroupBy, LetterState

if TYPE_CHECKING:
    from worker.dead_letters.replays.replay import Summary
    from worker.dead_letters.selection import Chosen

_EXIT_UNDECIDED: Final = 3
_PLANNED: Final = 1_000
"""The most letters that a dry run lists."""

dead_letters = typer.Typer(
    help="List, show, replay and discard messages that could not be carried out."
)


class StateChoice(StrEnum):
    WAITING = LetterState.WAITING.value
    REPLAYED = LetterState.REPLAYED.value
    DISCARDED = LetterState.DISCARDED.value
    ALL = "all"


State = Annotated[StateChoice, typer.Option(help="Only letters in this state.")]
Limit = Annotated[
    int, typer.Option(min=1, max=100_000, metavar="N", help="Maximum number of letters.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, but do nothing.")]


@dead_letters.command("list")
@filtered
def list_letters(
    wanted: Filter,
    state: State = StateChoice.WAITING,
    count_by: Annotated[
        GroupBy | None,
        typer.Option(
            help="Count letters by this field instead of listing them; by `error`, those that "
            "differ in numbers, ids and names count together."
        ),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            min=1, max=100_000, metavar="N", help="Maximum number of letters, or of counts."
        ),
    ] = 100,
    json: cli.Json = False,
) -> None:
    """List dead letters, newest first."""
    from worker.dead_letters import store as letter_store
    from worker.dead_letters.command_line import reports

    wanted = with_changes(wanted, state=_state(state))
    warn_of(wanted.publisher)
    if count_by is not None:
        counts = cli.with_database(
            partial(letter_store.count, wanted=wanted, by=count_by, limit=limit)
        )
        reports.print_counts(counts.rows, count_by, as_json=json)
        if not counts.is_whole:
            print_error(
                f"cancel-worker: counted the newest {letter_store.MOST_COUNTED:,} letters with "
                "this text; there may be more"
            )
        return
    found = cli.with_database(partial(letter_store.find, wanted=wanted, limit=limit))
    reports.print_letters(found, as_json=json)


@dead_letters.command()
@filtered
def show(
    wanted: Filter,
    ids: Ids = None,
    all_letters: All = False,
    state: Annotated[
        StateChoice | None, typer.Option(help="With filters: only letters in this state.")
    ] = None,
    limit: Limit = 20,
    as_hex: Annotated[
        bool, typer.Option("--hex", help="Print bodies as hex dumps, even if they are text.")
    ] = False,
    json: cli.Json = False,
) -> None:
    """Show dead letters with their bodies: those with these ids, or the newest that match."""
    from worker.dead_letters.command_line import show_cli

    if state is not None:
        wanted = with_changes(wanted, state=_state(state))
    chosen = _chosen(ids, wanted, all_letters=all_letters)
    warn_of(wanted.publisher)
    show_cli.show(chosen, limit, as_hex=as_hex, as_json=json)


@dead_letters.command()
@filtered
def replay(
    wanted: Filter,
    ids: Ids = None,
    all_letters: All = False,
    dry_run: DryRun = False,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=100_000, metavar="N", help="Maximum number of letters per second."
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Also replay letters that were discarded or replayed too often."
        ),
    ] = False,
    edit: Annotated[
        bool,
        typer.Option("--edit", help="Edit the body of one letter, and send it as a new command."),
    ] = False,
    edit_with: Annotated[
        str | None,
        typer.Option(
            metavar="CMD",
            help="Run CMD for each letter, with the body on its stdin, and send what it prints as "
            "a new command. With --dry-run, show the differences.",
        ),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=86_400,
            metavar="SECONDS",
            help="Wait up to this long, and report the result of each letter.",
        ),
    ] = None,
    json: cli.Json = False,
) -> None:
    """Publish dead letters again as commands. Safe to interrupt and to repeat.

    The exit code is 1 if a letter was not sent. With --wait, it is also 1 if a letter became a dead
    letter again, and 3 if a command was not decided in time.
    """
    from worker.dead_letters.command_line import edit_cli, replay_cli, reports
    from worker.dead_letters.replays.planning import plan
    from worker.dead_letters.replays.replay import Options
    from worker.operator import operator

    chosen = _chosen(ids, wanted, all_letters=all_letters)
    if dry_run and wait is not None:
        raise UserError("--wait cannot be combined with --dry-run")
    options = Options(by=operator(), rate=rate, force=force, wait=wait)
    if edit:
        if len(ids or ()) != 1 or dry_run or rate or edit_with is not None:
            raise UserError(
                "--edit takes one ID, and cannot be combined with --dry-run, --rate or --edit-with"
            )
        _finish(replay_cli.edit_one((ids or [0])[0], options), json)
        return
    warn_of(wanted.publisher)
    if edit_with is not None:
        command = edit_cli.parsed(edit_with)
        if dry_run:
            edit_cli.show_differences(chosen, command, options, as_json=json)
            return
        _finish(edit_cli.replay(chosen, command, options), json)
        return
    if dry_run:
        planned = cli.with_database(partial(plan, chosen=chosen, force=force, limit=_PLANNED))
        reports.print_plan(planned, as_json=json)
        return
    _finish(replay_cli.replay(chosen, options), json)


@dead_letters.command()
@filtered
def discard(
    wanted: Filter,
    ids: Ids = None,
    all_letters: All = False,
    note: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why; recorded with each letter.")
    ] = None,
    dry_run: DryRun = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Do not ask on a terminal before letters are discarded."),
    ] = False,
    json: cli.Json = False,
) -> None:
    """Mark dead letters as discarded. They stay on record, and `replay --force` can replay them."""
    from worker.dead_letters.command_line import discard_cli
    from worker.dead_letters.discarding import checked_note
    from worker.operator import operator

    chosen = _chosen(ids, wanted, all_letters=all_letters)
    reason = None if note is None else checked_note(note)
    warn_of(wanted.publisher)
    if dry_run:
        discard_cli.show(chosen, limit=_PLANNED, as_json=json)
        return
    discard_cli.discard(chosen, operator(), reason, is_sure=yes or bool(ids), as_json=json)


def _state(choice: StateChoice) -> LetterState | None:
    return None if choice is StateChoice.ALL else LetterState(choice.value)


def _chosen(ids: list[int] | None, wanted: Filter, *, all_letters: bool) -> "Chosen":
    if bool(ids) == (all_letters or wanted != Filter()):
        raise UserError("select letters either by ID, or with --all or filters")
    return ids or wanted


def _finish(summary: "Summary", json: bool) -> None:
    from worker.dead_letters.command_line import reports

    reports.print_summary(summary, as_json=json)
    if summary.failed is not None:
        raise ServiceUnavailable(summary.failed)
    if summary.interrupted:
        raise KeyboardInterrupt
    became = {result.became for result in summary.results or ()}
    if summary.is_incomplete or ReplayStatus.DEAD_AGAIN in became:
        raise typer.Exit(cli.EXIT_FAILED)
    if ReplayStatus.UNDECIDED in became:
        raise typer.Exit(_EXIT_UNDECIDED)
