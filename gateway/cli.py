"""`cancel-gateway`: parses and delegates."""

from typing import Annotated

import typer

from gateway.auth.cli import tokens
from shared.command_line import cli

app = typer.Typer(
    help="Serve the HTTP API, which registers, cancels and shows runs; manage its tokens.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(tokens, name="tokens")


@app.command()
def serve(
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Address to listen on.", show_default="CANCEL_GATEWAY_HOST"
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="N",
            help="Port to listen on; 0 chooses a free one.",
            show_default="CANCEL_GATEWAY_PORT",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64,
            metavar="N",
            help="Processes that serve the port; each uses one processor core at most.",
            show_default="CANCEL_GATEWAY_PROCESSES",
        ),
    ] = None,
    number: Annotated[int | None, typer.Option(hidden=True)] = None,
    supervisor: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve the API until SIGTERM."""
    from gateway.settings import GatewaySettings
    from shared import lifecycle, logs
    from shared.configuration import settings

    configured = settings.load(
        GatewaySettings, gateway_host=host, gateway_port=port, gateway_processes=processes
    )
    logs.configure(configured.log_format, configured.log_level)
    if configured.gateway_processes > 1:
        from gateway.processes.supervision import supervise

        raise typer.Exit(lifecycle.run(supervise(configured)))

    from gateway import app as gateway
    from gateway.processes.supervised import Supervised

    supervised = None
    if number is not None and supervisor is not None:
        supervised = Supervised(number, supervisor)
    lifecycle.run(gateway.serve(configured, supervised))


def main() -> None:
    cli.run(app, "cancel-gateway")
