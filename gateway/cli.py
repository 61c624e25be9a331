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
) -> None:
    """Serve the API until SIGTERM."""
    from gateway import app as gateway
    from gateway.settings import GatewaySettings
    from shared import lifecycle, logs
    from shared.configuration import settings

    configured = settings.load(GatewaySettings, gateway_host=host, gateway_port=port)
    logs.configure(configured.log_format, configured.log_level)
    lifecycle.run(gateway.serve(configured))


def main() -> None:
    cli.run(app, "cancel-gateway")
