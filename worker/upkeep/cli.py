"""`cancel-worker prune`: parses and delegates."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from shared.command_line import cli

_STDOUT: Final = Path("-")
_COUNTING_SECONDS: Final = 20.0


def prune(
    older_than: Annotated[
        timedelta,
        typer.Option(
            parser=cli.duration,
            metavar="DURATION",
            help="Only records of what ended longer ago than this, for example 90d; at least 7d.",
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be deleted, but delete nothing.")
    ] = False,
    archive: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Append the records to this file before they are deleted, as JSON lines; `-` for "
            "stdout.",
        ),
    ] = None,
    waiting_letters: Annotated[
        bool,
        typer.Option(
            "--waiting-letters",
            help="Also delete dead letters that were neither replayed nor discarded.",
        ),
    ] = False,
    json: cli.Json = False,
) -> None:
    """Delete old records: runs that are over, their cancellations, dead letters, the audit.

    Safe beside a running system, to interrupt and to repeat. A queued run that was added longer ago
    than DURATION is canceled as expired.
    """
    from shared.errors import ServiceUnavailable, UserError
    from worker.operator import operator
    from worker.settings import MIN_RETENTION
    from worker.upkeep import reports
    from worker.upkeep.count import count
    from worker.upkeep.prune import Order
    from worker.upkeep.prune_cli import prune_all

    if older_than < MIN_RETENTION:
        raise UserError(f"--older-than must be at least {MIN_RETENTION.days}d")
    to_stdout = archive == _STDOUT
    if json and to_stdout:
        raise UserError("--json cannot be combined with --archive -")
    order = Order(
        operator(), older_than, waiting_letters, None if archive is None else str(archive)
    )
    if dry_run:
        counted = cli.with_database(partial(count, order=order, seconds=_COUNTING_SECONDS))
        reports.print_counted(counted, as_json=json)
        return
    pruned = prune_all(order, None if to_stdout else archive)
    reports.print_pruned(pruned, as_json=json, on_stderr=to_stdout)
    if pruned.failed is not None:
        raise ServiceUnavailable(f"{pruned.failed}; the same command continues")
    if pruned.interrupted:
        raise KeyboardInterrupt
