"""Shared by both command lines: errors are one line, never a traceback.

Here, as in each `*cli.py` with commands, the imports at the top are those of the declarations,
which `--help` shows: each command imports what it uses in its body. Tests hold that.
"""

import errno
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from shared.command_line import output
from shared.errors import ServiceUnavailable, UserError
from shared.text import durations

if TYPE_CHECKING:
    from shared.postgres.database import Database

T = TypeVar("T")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
"""The --json option of every command that shows something."""

EXIT_FAILED = 1
EXIT_USAGE = 2


def run(app: typer.Typer, name: str) -> NoReturn:
    """Run `app` and exit: 0 done, 1 a service is unavailable, 2 the command was wrong."""
    output.take_any_text()
    # To look for plugins of pydantic, of which we use none, takes as long as a query.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        code = app(prog_name=name, standalone_mode=False)
        output.flush()  # here, where a closed pipe can still be handled
    except BaseException as error:
        found = _expected(error)
        if found is not None:
            message, code = found
            if message:
                output.print_error(f"{name}: {message}")
        elif isinstance(error, Exception):
            output.print_traceback(error)
            code = EXIT_FAILED
        else:
            raise
    sys.exit(code or 0)


def with_database(work: "Callable[[Database], Awaitable[T]]", *, deploying: bool = False) -> T:
    """Do `work` on the configured database, whose schema must be up to date.

    With `deploying`, it need not be, and Postgres may still be starting. Raises InvalidSettings,
    SchemaError and ServiceUnavailable.
    """
    from shared import deferred_logs, lifecycle
    from shared.configuration import settings
    from shared.configuration.settings import CommandSettings, DatabaseSettings
    from shared.postgres.database import connected
    from shared.postgres.migrate import require_current

    configured = settings.load(DatabaseSettings if deploying else CommandSettings)
    deferred_logs.configure(configured.log_format, configured.log_level)

    async def on_database() -> T:
        async with connected(configured) as database:
            if not deploying:
                await require_current(database)
            return await work(database)

    # Not on asyncio's own loop: it reads no more of a connection on which a write has failed, and
    # so loses why Postgres refused our certificate and closed.
    return lifecycle.run(on_database())


def duration(text: str) -> timedelta:
    """A duration as people write it, like 90s or 30d. Raises BadParameter."""
    try:
        return durations.duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} {error}") from None


def _expected(error: BaseException) -> tuple[str, int] | None:
    match error:
        case BaseExceptionGroup(exceptions=inner):
            return _first_expected(inner)
        case typer.TyperException():
            return f"{_reworded(error.format_message()).rstrip('.')} (see --help)", EXIT_USAGE
        case UserError():
            return str(error), EXIT_USAGE
        case ServiceUnavailable():
            return str(error), EXIT_FAILED
        case typer.Abort() | KeyboardInterrupt():
            return "", 130
        case BrokenPipeError():
            output.drop()
            return "", 0
        case OSError(errno=errno.ENOSPC):
            output.drop()
            return "cannot write the output: no space left", EXIT_FAILED
    return _refused(error)


def _refused(error: BaseException) -> tuple[str, int] | None:
    from asyncpg import PostgresError

    if isinstance(error, PostgresError):
        return f"Postgres refused: {_one_line(error)}", EXIT_FAILED
    return None


def _reworded(message: str) -> str:
    from shared.text.validation import reworded

    return reworded(message)


def _first_expected(errors: Sequence[BaseException]) -> tuple[str, int] | None:
    found = [_expected(error) for error in errors]
    return None if None in found else found[0]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
