"""`cancel-worker dead-letters`: parses and delegates."""

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shared import cli
from shared.errors import ServiceUnavailable, UserError
from shared.limits import BIGINT_MAX
from shared.output import print_error, print_line
from shared.postgres.sql.dead_letters import UNKNOWN_PUBLISHER
from shared.states import DeadReason
from worker.dead_letters.kinds import ReplayStatus
from worker.dead_letters.wanted import Filter, GroupBy, LetterState

if TYPE_CHECKING:
    from worker.dead_letters.replay import Summary

_EXIT_UNDECIDED: Final = 3
MOST_PLANNED: Final = 100_000

dead_letters = typer.Typer(
    help="List, show, replay and discard messages that could not be carried out."
)


class StateChoice(StrEnum):
    WAITING = LetterState.WAITING.value
    REPLAYED = LetterState.REPLAYED.value
    DISCARDED = LetterState.DISCARDED.value
    ALL = "all"


def _publisher_name(text: str) -> str:
    """`text`, if it can be the name of a broker user. Raises BadParameter."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("is not valid UTF-8") from None
    return text


LetterId = Annotated[
    int, typer.Argument(min=1, max=BIGINT_MAX, metavar="ID", help="The dead letter's id.")
]
LetterIds = Annotated[
    list[int] | None,
    typer.Argument(min=1, max=BIGINT_MAX, metavar="ID", help="Dead letter ids."),
]
Reason = Annotated[DeadReason | None, typer.Option(help="Only letters with this reason.")]
Publisher = Annotated[
    str | None,
    typer.Option(
        parser=_publisher_name,
        metavar="USER",
        help=f"Only letters of this broker user; `{UNKNOWN_PUBLISHER}` also matches those without "
        "one.",
    ),
]
Run = Annotated[
    int | None, typer.Option(min=1, max=BIGINT_MAX, metavar="N", help="Only letters of this run.")
]
OlderThan = Annotated[
    timedelta | None,
    typer.Option(
        parser=cli.duration,
        metavar="DURATION",
        help="Only letters older than this, for example 2h.",
    ),
]
NewerThan = Annotated[
    timedelta | None,
    typer.Option(
        parser=cli.duration,
        metavar="DURATION",
        help="Only letters newer than this, for example 15m.",
    ),
]


@dead_letters.command("list")
def list_letters(
    reason: Reason = None,
    publisher: Publisher = None,
    run: Run = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    state: Annotated[
        StateChoice, typer.Option(help="Only letters in this state.")
    ] = StateChoice.WAITING,
    count_by: Annotated[
        GroupBy | None, typer.Option(help="Count letters by this field instead of listing them.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="N", help="Maximum number of letters.")
    ] = 100,
    json: cli.Json = False,
) -> None:
    """List dead letters, newest first."""
    from worker.dead_letters import reports
    from worker.dead_letters import store as letter_store

    wanted = Filter(
        None if state is StateChoice.ALL else LetterState(state.value),
        reason=reason,
        publisher=publisher,
        run_id=run,
        older_than=older_than,
        newer_than=newer_than,
    )
    _warn_of(publisher)
    if count_by is not None:
        counts = cli.with_database(partial(letter_store.count, wanted=wanted, by=count_by))
        reports.print_counts(counts, count_by, as_json=json)
        return
    found = cli.with_database(partial(letter_store.find, wanted=wanted, limit=limit))
    reports.print_letters(found, as_json=json)


@dead_letters.command()
def show(
    letter: LetterId,
    as_hex: Annotated[
        bool, typer.Option("--hex", help="Print the body as a hex dump, even if it is text.")
    ] = False,
    json: cli.Json = False,
) -> None:
    """Show one dead letter with its body."""
    from worker.dead_letters import reports
    from worker.dead_letters import store as letter_store

    found = cli.with_database(partial(letter_store.find_one, letter_id=letter))
    if found is None:
        raise UserError(f"dead letter {letter} not found")
    reports.print_letter(*found, as_hex=as_hex, as_json=json)


@dead_letters.command()
def replay(
    ids: LetterIds = None,
    all_letters: Annotated[
        bool,
        typer.Option("--all", help="Replay all waiting letters that match the filters, if any."),
    ] = False,
    reason: Reason = None,
    publisher: Publisher = None,
    run: Run = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent, but send nothing.")
    ] = False,
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

    With --wait, the exit code is 1 if a letter became a dead letter again, and 3 if a command was
    not decided in time.
    """
    from worker.dead_letters import replay_cli, reports
    from worker.dead_letters.planning import Planned, plan
    from worker.dead_letters.replay import Options
    from worker.operator import operator

    wanted = Filter(
        reason=reason,
        publisher=publisher,
        run_id=run,
        older_than=older_than,
        newer_than=newer_than,
    )
    some = wanted != Filter()
    if bool(ids) == (all_letters or some):
        raise UserError("select letters either by ID, or with --all or filters")
    if dry_run and wait is not None:
        raise UserError("--wait cannot be combined with --dry-run")
    options = Options(by=operator(), rate=rate, force=force, wait=wait)
    if edit:
        if len(ids or ()) != 1 or dry_run or rate:
            raise UserError("--edit takes one ID, and cannot be combined with --dry-run or --rate")
        _finish(replay_cli.edit_one((ids or [0])[0], options), json)
        return
    _warn_of(publisher)
    chosen = ids or wanted
    if dry_run:
        planned = cli.with_database(partial(plan, chosen=chosen, force=force, limit=MOST_PLANNED))
        reports.print_letters(
            [letter for letter, kind in planned.letters if kind is Planned.SENT], as_json=json
        )
        return
    _finish(replay_cli.replay(chosen, options), json)


@dead_letters.command()
def discard(
    ids: Annotated[
        list[int], typer.Argument(min=1, max=BIGINT_MAX, metavar="ID", help="Dead letter ids.")
    ],
) -> None:
    """Mark dead letters as discarded. They stay on record, and `replay --force` can replay them."""
    from worker.dead_letters import store as letter_store
    from worker.dead_letters.discarding import discard as discard_chosen
    from worker.operator import operator

    done = cli.with_database(partial(discard_chosen, chosen=ids, by=operator()))
    for letter in done:
        print_line(f"dead letter {letter} discarded")
    if left := sorted(set(ids) - set(done)):
        missing = cli.with_database(partial(letter_store.missing, letter_ids=left))
        raise UserError("; ".join(_why_not_discarded(left, set(left) - set(missing))))


def _why_not_discarded(letters: list[int], known: set[int]) -> Iterator[str]:
    for letter in letters:
        if letter not in known:
            yield f"dead letter {letter} not found"
    if known:
        yield f"not discarded, because not waiting: {', '.join(map(str, sorted(known)))}"


def _warn_of(publisher: str | None) -> None:
    """Warn, because a misspelled name finds nothing, like one without waiting letters."""
    if publisher is None:
        return
    from worker.dead_letters import store as letter_store

    if not cli.with_database(partial(letter_store.has_publisher, publisher=publisher)):
        is_unknown = publisher == UNKNOWN_PUBLISHER
        by = "without a user_id" if is_unknown else f"by the broker user {publisher!r}"
        print_error(
            f"cancel-worker: no dead letter was published {by}; for a "
            "list, run: cancel-worker dead-letters list --state all --count-by publisher"
        )


def _finish(summary: "Summary", json: bool) -> None:
    from worker.dead_letters import reports

    reports.print_summary(summary, as_json=json)
    if summary.failed is not None:
        raise ServiceUnavailable(summary.failed)
    if summary.interrupted:
        raise KeyboardInterrupt
    became = {result.became for result in summary.results or ()}
    left = summary.missing or summary.too_often or summary.discarded or summary.cut
    if left or ReplayStatus.DEAD_AGAIN in became:
        raise typer.Exit(cli.EXIT_FAILED)
    if ReplayStatus.UNDECIDED in became:
        raise typer.Exit(_EXIT_UNDECIDED)
