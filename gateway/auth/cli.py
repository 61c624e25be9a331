"""`cancel-gateway tokens`: parses and delegates."""

from datetime import timedelta
from functools import partial
from typing import Annotated

import typer

from gateway.auth.access import DEFAULT_SCOPES, TOKEN_PREFIX, Scope
from shared.command_line import cli
from shared.command_line.output import print_columns, print_json, print_line
from shared.errors import UserError
from shared.limits import BIGINT_MAX
from shared.tokens import Role

tokens = typer.Typer(help="Create, list and revoke bearer tokens.")


@tokens.command()
def create(
    subject: Annotated[
        str, typer.Option(metavar="NAME", help="Holder of the token, recorded with each cancel.")
    ],
    role: Annotated[Role, typer.Option(help="Role of the holder.")] = Role.CONTRIBUTOR,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(
            metavar="SCOPE",
            help=f"Scope of the token, repeatable: {', '.join(Scope)}.",
            show_default=", ".join(DEFAULT_SCOPES),
        ),
    ] = None,
    expires_in: Annotated[
        timedelta | None,
        typer.Option(
            parser=cli.duration,
            metavar="DURATION",
            help="Lifetime, for example 12h or 30d.",
            show_default="unlimited",
        ),
    ] = None,
    rate_limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000_000,
            metavar="N",
            help="Maximum number of requests that cancel runs, per window.",
            show_default="CANCEL_WRITE_LIMIT",
        ),
    ] = None,
    read_rate_limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000_000,
            metavar="N",
            help="Maximum number of requests that read runs, cancels or events, per window.",
            show_default="CANCEL_READ_LIMIT",
        ),
    ] = None,
    register_rate_limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000_000,
            metavar="N",
            help="Maximum number of requests that register runs, per window.",
            show_default="CANCEL_REGISTER_LIMIT",
        ),
    ] = None,
) -> None:
    """Create a token and print it. It is not stored and cannot be shown again."""
    if not 1 <= len(subject) <= 255 or not subject.isprintable() or not subject.strip():
        raise UserError("--subject must have 1 to 255 printable characters")
    from gateway.auth import tokens as stored

    wanted = stored.NewToken(
        subject,
        role,
        frozenset(scope or DEFAULT_SCOPES),
        rate_limit,
        read_rate_limit,
        register_rate_limit,
        expires_in,
    )
    print_line(cli.with_database(partial(stored.create, wanted=wanted)))


@tokens.command("list")
def list_tokens(
    subject: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only tokens of this holder.")
    ] = None,
    json: cli.Json = False,
) -> None:
    """List tokens, including revoked and expired ones. The tokens themselves are not stored."""
    from dataclasses import asdict

    from gateway.auth import tokens as stored
    from shared.postgres.rows import plain

    found = cli.with_database(partial(stored.find, subject=subject))
    rows = [asdict(token) for token in found]
    if json:
        print_json([plain(row) for row in rows])
        return
    columns = {
        "id": "token_id",
        "subject": "subject",
        "role": "role",
        "scopes": "scopes",
        "writes": "write_limit",
        "reads": "read_limit",
        "registers": "register_limit",
        "state": "state",
        "expires": "expires_at",
    }
    print_columns(columns, rows)


@tokens.command()
def revoke(
    token: Annotated[
        list[str],
        typer.Argument(metavar="ID", help="Token ids, or the tokens themselves."),
    ],
) -> None:
    """Revoke tokens. Every gateway rejects them from its next request on."""
    from gateway.auth import tokens as stored

    done = cli.with_database(partial(stored.revoke, tokens=[_named(text) for text in token]))
    missing = []
    for text, revoked in zip(token, done, strict=True):
        if revoked is None:
            missing.append("that token" if text.startswith(TOKEN_PREFIX) else f"token {text}")
            continue
        already = "was already revoked" if revoked.was_revoked else "revoked"
        print_line(f"token {revoked.token_id} ({revoked.subject}): {already}")
    if missing:
        raise UserError(f"{', '.join(missing)} not found")


def _named(text: str) -> int | str:
    if text.startswith(TOKEN_PREFIX):
        return text
    if len(text) <= len(str(BIGINT_MAX)) and text.isascii() and text.isdigit():
        number = int(text)
        if 1 <= number <= BIGINT_MAX:
            return number
    raise typer.BadParameter("neither a token nor a token id, see `tokens list`")
