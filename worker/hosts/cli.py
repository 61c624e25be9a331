"""`cancel-worker hosts`: parses and delegates."""

from functools import partial
from typing import Annotated

import typer

from shared.command_line import cli
from shared.command_line.output import print_line
from shared.errors import UserError

hosts = typer.Typer(help="List, show, abandon and forget runner hosts.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The host's name.")]


@hosts.command("list")
def list_hosts(json: cli.Json = False) -> None:
    """List hosts with their states and runs."""
    from worker.hosts import reports, store

    reports.print_hosts(cli.with_database(store.find_all), as_json=json)


@hosts.command()
def show(name: Name, json: cli.Json = False) -> None:
    """Show one host with its runs, what waits there, and its history."""
    from worker.hosts import reports, store

    found = cli.with_database(partial(store.find_one, host=name))
    if found is None:
        raise UserError(f"host {name!r} not found")
    reports.print_host(found, as_json=json)


@hosts.command()
def abandon(
    name: Name,
    reason: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Why the host will not come back, for the record. At most 255 characters.",
        ),
    ],
    json: cli.Json = False,
) -> None:
    """Abandon a host that will never come back, and its runs.

    Its runs become `error`, not `canceled`: nothing proves that their processes are gone.
    """
    from worker.hosts import reports, store
    from worker.operator import operator

    if not (1 <= len(reason) <= 255 and reason.isprintable()):
        raise UserError("--reason must have 1 to 255 printable characters")
    give_up = partial(store.abandon, host=name, by=operator(), reason=reason)
    try:
        abandoned = cli.with_database(give_up)
    except store.HostIsUp as error:
        raise UserError(f"host {name!r} is up: {error}; stop its worker first") from None
    if abandoned is None:
        raise UserError(f"host {name!r} not found")
    reports.print_abandoned(name, abandoned, as_json=json)


@hosts.command()
def forget(name: Name) -> None:
    """Remove a host that is not up and owns nothing. Its history stays on record.

    If its worker is started again, the host is back.
    """
    from worker.hosts import reports, store
    from worker.operator import operator

    refused = cli.with_database(partial(store.forget, host=name, by=operator()))
    if refused is None:
        print_line(f"host {name} is forgotten")
        return
    raise UserError(reports.why_not_forgotten(name, refused))
