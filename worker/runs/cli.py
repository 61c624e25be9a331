"""`cancel-worker runs`: parses and delegates."""

from functools import partial
from typing import Annotated

import typer

from shared import cli
from shared.commands import BIGINT_MAX, MAX_GRACE_SECONDS
from shared.errors import UserError
from shared.output import print_line
from shared.states import RunStatus, StopSignal
from worker.runs import reports
from worker.runs import store as run_store

runs = typer.Typer(help="Add, show and list runs.")

RunId = Annotated[int, typer.Argument(min=1, max=BIGINT_MAX, metavar="N", help="The run's id.")]


@runs.command()
def add(
    run_id: RunId,
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
) -> None:
    """Add a queued run."""
    add_run = partial(run_store.add_run, run_id=run_id, grace=grace, stop_signal=stop_signal)
    if not cli.with_database(add_run):
        raise UserError(f"run {run_id} already exists")
    print_line(f"run {run_id} is queued")


@runs.command()
def show(run_id: RunId, json: cli.Json = False) -> None:
    """Show one run: its states, its cancellations and their evidence."""
    run = cli.with_database(partial(run_store.find_run, run_id=run_id))
    if run is None:
        raise UserError(f"run {run_id} not found")
    reports.print_run(run, as_json=json)


@runs.command("list")
def list_runs(
    status: Annotated[RunStatus | None, typer.Option(help="Only runs with this status.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="N", help="Maximum number of runs.")
    ] = 100,
    json: cli.Json = False,
) -> None:
    """List runs, newest first."""
    found = cli.with_database(partial(run_store.list_runs, status=status, limit=limit))
    reports.print_runs(found, as_json=json)
