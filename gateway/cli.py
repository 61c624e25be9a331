"""`cancel-gateway`: parses and delegates."""

import asyncio
import re
from datetime import timedelta
from typing import Annotated

import typer

from gateway.access import Role, Scope, new_token, token_hash
from gateway.app import serve as serve_gateway
from shared import cli, lifecycle, logs, queries, settings
from shared.database import connected
from shared.migrate import require_current
from shared.settings import DatabaseSettings, GatewaySettings

app = typer.Typer(
    help="The REST gateway: accepts cancel requests and confirms them.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
tokens = typer.Typer(help="Bearer tokens.")
app.add_typer(tokens, name="tokens")

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_TEN_YEARS = timedelta(days=3653)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = None,
) -> None:
    """Serve the API until SIGTERM."""
    configured = settings.load(GatewaySettings, gateway_host=host, gateway_port=port)
    logs.configure(configured.log_format, configured.log_level)
    lifecycle.run(serve_gateway(configured))


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhdw])", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a duration like 90s, 15m, 12h, 30d or 4w")
    try:
        duration = timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        duration = timedelta.max
    if duration > _TEN_YEARS:
        raise typer.BadParameter(f"{text!r} is longer than ten years")
    return duration


@tokens.command()
def create(
    subject: Annotated[str, typer.Option(help="Who holds the token; recorded with each cancel.")],
    role: Annotated[Role, typer.Option(help="What its holder is.")] = Role.CONTRIBUTOR,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it may be used for; repeatable. Default: runs:read, runs:write."),
    ] = None,
    expires_in: Annotated[
        timedelta | None,
        typer.Option(parser=_duration, metavar="DURATION", help="Like 12h or 30d; default: never."),
    ] = None,
    rate_limit: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Writes per minute, for this token.")
    ] = None,
) -> None:
    """Create a token and print it, alone and only this once."""
    if not 1 <= len(subject) <= 255 or not subject.isprintable() or not subject.strip():
        raise cli.UserError("--subject must have 1 to 255 printable characters")
    token = new_token()
    configured = settings.load(DatabaseSettings)
    logs.configure(configured.log_format, configured.log_level)
    scopes = sorted(set(scope or Scope))

    async def store() -> None:
        async with connected(configured) as database:
            await require_current(database)
            async with database.connection() as connection:
                await connection.execute(
                    queries.ADD_TOKEN,
                    token_hash(token),
                    subject,
                    role,
                    scopes,
                    rate_limit,
                    expires_in,
                )

    asyncio.run(store())
    print(token)


def main() -> None:
    cli.run(app, "cancel-gateway")
