"""The options that select dead letters, the same for each command."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial, wraps
from inspect import Parameter, signature
from typing import Annotated, Any, Final

import typer

from shared.command_line import cli
from shared.command_line.output import print_error
from shared.limits import BIGINT_MAX
from shared.postgres.sql.dead_letters import UNKNOWN_PUBLISHER
from shared.states import DeadReason
from worker.dead_letters.wanted import Filter, LetterState, checked_search


def _text(text: str) -> str:
    """`text`, if Postgres can look for it. Raises BadParameter."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("is not valid UTF-8") from None
    if "\0" in text:
        raise typer.BadParameter("must not contain NUL characters")
    return text


Ids = Annotated[
    list[int] | None,
    typer.Argument(min=1, max=BIGINT_MAX, metavar="ID", help="Dead letter ids."),
]
All = Annotated[
    bool,
    typer.Option("--all", help="All waiting letters that match the filters, if any."),
]
_OPTIONS: Final[dict[str, Any]] = {
    "reason": Annotated[DeadReason | None, typer.Option(help="Only letters with this reason.")],
    "error": Annotated[
        str | None,
        typer.Option(
            parser=_text,
            metavar="TEXT",
            help="Only letters with this error, as `list --count-by error` prints it.",
        ),
    ],
    "publisher": Annotated[
        str | None,
        typer.Option(
            parser=_text,
            metavar="USER",
            help=f"Only letters of this broker user; `{UNKNOWN_PUBLISHER}` also matches those "
            "without one.",
        ),
    ],
    "requested_by": Annotated[
        str | None,
        typer.Option(parser=_text, metavar="NAME", help="Only letters that NAME requested."),
    ],
    "run_id": Annotated[
        int | None,
        typer.Option("--run", min=1, max=BIGINT_MAX, metavar="N", help="Only letters of this run."),
    ],
    "older_than": Annotated[
        timedelta | None,
        typer.Option(
            parser=cli.duration,
            metavar="DURATION",
            help="Only letters older than this, for example 2h.",
        ),
    ],
    "newer_than": Annotated[
        timedelta | None,
        typer.Option(
            parser=cli.duration,
            metavar="DURATION",
            help="Only letters newer than this, for example 15m.",
        ),
    ],
    "grep": Annotated[
        str | None,
        typer.Option(
            parser=_text,
            metavar="TEXT",
            help="Only letters with this text in their error, or in the first 16 KiB of their "
            "body, in upper or lower case.",
        ),
    ],
}


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command` these options; its parameter `wanted` gets the filter of waiting letters."""

    @wraps(command)
    def with_filter(**given: Any) -> None:
        options = {name: given.pop(name) for name in _OPTIONS}
        if options["grep"] is not None:
            checked_search(options["grep"])
        command(wanted=Filter(state=LetterState.WAITING, **options), **given)

    own = [each for each in signature(command).parameters.values() if each.name != "wanted"]
    options = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _OPTIONS.items()
    ]
    arguments = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in own]
    # typer reads both: the first for the order, the second for the types.
    with_filter.__signature__ = signature(command).replace(  # type: ignore[attr-defined]  # inspect reads it
        parameters=[*arguments, *options]
    )
    with_filter.__annotations__ = {each.name: each.annotation for each in [*arguments, *options]}
    return with_filter


def warn_of(publisher: str | None) -> None:
    """Warn, because a misspelled name finds nothing, like one without waiting letters."""
    from worker.dead_letters import store as letter_store

    if publisher is None:
        return
    if not cli.with_database(partial(letter_store.has_publisher, publisher=publisher)):
        is_unknown = publisher == UNKNOWN_PUBLISHER
        by = "without a user_id" if is_unknown else f"by the broker user {publisher!r}"
        print_error(
            f"cancel-worker: no dead letter was published {by}; for a "
            "list, run: cancel-worker dead-letters list --state all --count-by publisher"
        )
