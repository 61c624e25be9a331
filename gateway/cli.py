"""`cancel-gateway`: parses and delegates."""

from typing import Annotated

import typer

from gateway.app import serve as serve_gateway
from gateway.auth.cli import tokens
from gateway.settings import GatewaySettings
from shared import cli, lifecycle, logs, settings

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
    configured = settings.load(GatewaySettings, gateway_host=host, gateway_port=port)
    logs.configure(configured.log_format, configured.log_level)
    lifecycle.run(serve_gateway(configured))


def main() -> None:
    cli.run(app, "cancel-gateway")
