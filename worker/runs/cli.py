"""`cancel-worker runs`: parses and delegates."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final

import typer

from shared.command_line import cli
from shared.command_line.output import print_error
from shared.errors import ServiceUnavailable, UserError
from shared.limits import BIGINT_MAX, MAX_GRACE_SECONDS, MAX_TEXT
from shared.states import LeftoversPolicy, RunStatus, StopScope, StopSignal
from worker.runs import options_cli
from worker.runs.ids_cli import RunIds, batches

_EXIT_UNDECIDED: Final = 3

runs = typer.Typer(help="Add, show, list and cancel runs.")

RunId = Annotated[int, typer.Argument(min=1, max=BIGINT_MAX, metavar="N", help="The run's id.")]


@runs.command()
def add(
    ids: RunIds,
    grace: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=MAX_GRACE_SECONDS,
            metavar="SECONDS",
            help="Grace period.",
            show_default="CANCEL_GRACE_SECONDS",
        ),
    ] = None,
    stop_signal: Annotated[StopSignal, typer.Option(help="Stop signal.")] = StopSignal.SIGTERM,
    stop_scope: Annotated[
        StopScope,
        typer.Option(help="Who gets the stop signal: all processes, or the first one alone."),
    ] = StopScope.TREE,
    leftovers: Annotated[
        LeftoversPolicy,
        typer.Option(help="What happens to processes that the command leaves behind."),
    ] = LeftoversPolicy.STOP,
    labels: Annotated[
        list[Any] | None,
        typer.Option(
            "--label", parser=options_cli.label, metavar="KEY=VALUE", help="A label; repeatable."
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="The run's page on the platform.")
    ] = None,
    start_before: Annotated[
        Any,
        typer.Option(
            parser=options_cli.start_before,
            metavar="TIME",
            help="Cancel the run if it has not started by then: 2026-12-31T18:00:00Z, or 30m from "
            "now.",
        ),
    ] = None,
    if_missing: Annotated[
        bool,
        typer.Option(
            "--if-missing", help="A run that is on record with the same options is no error."
        ),
    ] = False,
    json: cli.Json = False,
) -> None:
    """Add queued runs. A run that exists is never changed; the others are added.

    The exit code is 2 if a run was not added.
    """
    from worker.runs import add_cli

    within = start_before if isinstance(start_before, timedelta) else None
    options = options_cli.run_options(
        labels,
        grace_seconds=grace,
        stop_signal=stop_signal,
        stop_scope=stop_scope,
        leftovers=leftovers,
        url=url,
        start_before=start_before if isinstance(start_before, datetime) else None,
    )
    add_all = partial(add_cli.add, batches=batches(ids), options=options, start_within=within)
    summary = cli.with_database(add_all)
    add_cli.print_summary(summary, if_missing=if_missing, as_json=json)
    problems = list(add_cli.problems(summary, if_missing=if_missing))
    for problem in problems:
        print_error(f"cancel-worker: {problem}")
    if summary.failed is not None:
        raise ServiceUnavailable(add_cli.outage(summary))
    if summary.faulty is not None:
        raise summary.faulty
    if problems:
        raise typer.Exit(cli.EXIT_USAGE)


@runs.command()
def show(run_id: RunId, json: cli.Json = False) -> None:
    """Show one run: its states, its cancellations and their evidence."""
    from worker.runs import run_reports
    from worker.runs import store as run_store

    run = cli.with_database(partial(run_store.find_run, run_id=run_id))
    if run is None:
        raise UserError(f"run {run_id} not found")
    run_reports.print_run(run, as_json=json)


@runs.command("list")
def list_runs(
    status: Annotated[RunStatus | None, typer.Option(help="Only runs with this status.")] = None,
    host: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only runs that started on this host.")
    ] = None,
    labels: Annotated[
        list[Any] | None,
        typer.Option(
            "--label",
            parser=options_cli.label,
            metavar="KEY=VALUE",
            help="Only runs with this label; of several, all are needed.",
        ),
    ] = None,
    older_than: Annotated[
        timedelta | None,
        typer.Option(
            parser=cli.duration,
            metavar="DURATION",
            help="Only runs that were added longer ago than this, for example 2h.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="N", help="Maximum number of runs.")
    ] = 100,
    json: cli.Json = False,
) -> None:
    """List runs, newest first."""
    from worker.runs import reports
    from worker.runs import store as run_store

    wanted = run_store.Filter(status, host, tuple(sorted(set(labels or ()))), older_than)
    found = cli.with_database(partial(run_store.list_runs, wanted=wanted, limit=limit))
    reports.print_runs(found, as_json=json)


@runs.command()
def cancel(
    ids: RunIds,
    reason: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help=f"Why; at most {MAX_TEXT} characters."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Without a grace period, also if one has begun.")
    ] = False,
    wait: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=86_400,
            metavar="SECONDS",
            help="Wait up to this long, and report the outcome of each cancel.",
        ),
    ] = None,
    json: cli.Json = False,
) -> None:
    """Cancel runs over RabbitMQ, without a token. Safe to repeat.

    The exit code is 1 if a run was not found, a cancel was not requested, or its outcome is a
    failure; and 3 if --wait ended before all had an outcome.
    """
    from worker.operator import operator
    from worker.runs.cancel import CancelOptions
    from worker.runs.cancel_cli import cancel_runs

    run_ids = [run_id for batch in batches(ids) for run_id in batch]
    options = CancelOptions(operator(), reason, force, wait)
    result = cancel_runs(run_ids, options, json_=json)
    if result.failed is not None:
        raise ServiceUnavailable(result.failed)
    if result.interrupted:
        raise KeyboardInterrupt
    if any(each.has_failed for each in result.cancels):
        raise typer.Exit(cli.EXIT_FAILED)
    if wait is not None and any(each.is_requested for each in result.cancels):
        raise typer.Exit(_EXIT_UNDECIDED)
