"""`cancel-worker`: parses and delegates."""

from pathlib import Path
from typing import Annotated

import typer

from shared.command_line import cli
from shared.command_line.output import print_json, print_line
from worker.dead_letters.command_line.cli import dead_letters
from worker.hosts.cli import hosts
from worker.runs.cli import runs
from worker.upkeep.cli import prune

app = typer.Typer(
    help="Cancel runs: stop their processes and record the proof.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(runs, name="runs")
app.add_typer(hosts, name="hosts")
app.add_typer(dead_letters, name="dead-letters")
app.command()(prune)


@app.command()
def serve(
    host_name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of this runner host.",
            show_default="CANCEL_HOST_NAME, else the machine's host name",
        ),
    ] = None,
    socket: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Unix socket for cancel-exec.",
            show_default="CANCEL_WORKER_SOCKET",
        ),
    ] = None,
) -> None:
    """Consume commands and serve this host's launchers until SIGTERM."""
    from shared import lifecycle, logs
    from shared.configuration import settings
    from worker import app as worker
    from worker.settings import WorkerSettings

    configured = settings.load(WorkerSettings, host_name=host_name, worker_socket=socket)
    logs.configure(configured.log_format, configured.log_level)
    lifecycle.run(worker.serve(configured))


@app.command()
def console(
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Address to listen on.", show_default="CANCEL_CONSOLE_HOST"
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="N",
            help="Port to listen on; 0 chooses a free one.",
            show_default="CANCEL_CONSOLE_PORT",
        ),
    ] = None,
) -> None:
    """Serve web pages for operators until SIGTERM."""
    from shared import lifecycle, logs
    from shared.configuration import settings
    from worker.console import app as web
    from worker.console.settings import ConsoleSettings

    configured = settings.load(ConsoleSettings, console_host=host, console_port=port)
    logs.configure(configured.log_format, configured.log_level)
    lifecycle.run(web.serve(configured))


@app.command()
def migrate() -> None:
    """Bring the database schema up to date. Several processes may do this at once."""
    from shared.postgres import migrate

    applied = cli.with_database(migrate.migrate, deploying=True)
    for name in applied:
        print_line(f"applied {name}")
    if not applied:
        print_line("the schema is up to date")


@app.command()
def asyncapi() -> None:
    """Print the AsyncAPI document for publishers of commands."""
    import json
    from importlib import resources

    print_json(
        json.loads(resources.files("worker").joinpath("asyncapi.json").read_text()), indent=2
    )


def main() -> None:
    cli.run(app, "cancel-worker")
