"""`cancel-worker`: parses and delegates."""

import json
import signal
from enum import StrEnum
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from shared import cli, lifecycle, logs, settings
from shared.commands import BIGINT_MAX, MAX_GRACE_SECONDS
from shared.errors import UserError
from shared.output import print_json, print_line
from shared.postgres.migrate import migrate as bring_up_to_date
from shared.settings import WorkerSettings
from shared.states import RunStatus
from worker.app import serve as serve_worker
from worker.dead_letters.cli import dead_letters
from worker.hosts.cli import hosts
from worker.runs import listing, report

app = typer.Typer(
    help="Cancel runs: stop their processes and record the proof.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
runs = typer.Typer(help="Add, show and list runs.")
app.add_typer(runs, name="runs")
app.add_typer(hosts, name="hosts")
app.add_typer(dead_letters, name="dead-letters")

RunId = Annotated[int, typer.Argument(min=1, max=BIGINT_MAX, metavar="N", help="The run's id.")]


class StopSignal(StrEnum):
    SIGTERM = signal.SIGTERM.name
    SIGINT = signal.SIGINT.name
    SIGQUIT = signal.SIGQUIT.name
    SIGHUP = signal.SIGHUP.name
    SIGUSR1 = signal.SIGUSR1.name
    SIGUSR2 = signal.SIGUSR2.name


@app.command()
def serve(
    host_name: Annotated[
        str | None,
        typer.Option(help="Name of this runner host (default: the machine's host name)."),
    ] = None,
    socket: Annotated[Path | None, typer.Option(help="Unix socket for cancel-exec.")] = None,
) -> None:
    """Consume commands and serve this host's launchers until SIGTERM."""
    configured = settings.load(WorkerSettings, host_name=host_name, worker_socket=socket)
    logs.configure(configured.log_format, configured.log_level)
    lifecycle.run(serve_worker(configured))


@app.command()
def migrate() -> None:
    """Bring the database schema up to date. Several processes may do this at once."""

    applied = cli.with_database(bring_up_to_date, deploying=True)
    for name in applied:
        print_line(f"applied {name}")
    if not applied:
        print_line("the schema is up to date")


@app.command()
def asyncapi() -> None:
    """Print the AsyncAPI document for publishers of commands."""
    print_json(
        json.loads(resources.files("worker").joinpath("asyncapi.json").read_text()), indent=2
    )


@runs.command()
def add(
    run_id: RunId,
    grace: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=MAX_GRACE_SECONDS,
            help="Grace period in seconds. Default: CANCEL_GRACE_SECONDS.",
        ),
    ] = None,
    stop_signal: Annotated[StopSignal, typer.Option(help="Stop signal.")] = StopSignal.SIGTERM,
) -> None:
    """Add a queued run."""
    add_run = partial(listing.add_run, run_id=run_id, grace=grace, stop_signal=stop_signal)
    if not cli.with_database(add_run):
        raise UserError(f"run {run_id} already exists")
    print_line(f"run {run_id} is queued")


@runs.command()
def show(run_id: RunId, json: cli.Json = False) -> None:
    """Show one run: its states, its cancellations and their evidence."""
    run = cli.with_database(partial(report.find_run, run_id=run_id))
    if run is None:
        raise UserError(f"run {run_id} not found")
    report.print_run(run, as_json=json)


@runs.command("list")
def list_runs(
    status: Annotated[RunStatus | None, typer.Option(help="Only runs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of runs.")] = 100,
    json: cli.Json = False,
) -> None:
    """List runs, newest first."""
    found = cli.with_database(partial(listing.list_runs, status=status, limit=limit))
    listing.print_runs(found, as_json=json)


def main() -> None:
    cli.run(app, "cancel-worker")
