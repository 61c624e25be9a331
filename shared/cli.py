"""What both command lines share: errors are one line, never a traceback."""

import sys
from collections.abc import Sequence
from typing import NoReturn

import typer
from typer._click.exceptions import ClickException

from shared.errors import ServiceUnavailable
from shared.migrate import SchemaError
from shared.settings import InvalidSettings

EXIT_FAILED = 1
EXIT_USAGE = 2


class UserError(Exception):
    """The command cannot be done as asked; the message says why in the user's terms."""


def run(app: typer.Typer, name: str) -> NoReturn:
    """Run `app` and exit: 0 done, 1 a service is unavailable, 2 the command was wrong."""
    try:
        code = app(prog_name=name, standalone_mode=False)
    except BaseException as error:
        found = _expected(error)
        if found is None:
            raise
        message, code = found
        if message:
            print(f"{name}: {message}", file=sys.stderr)
    sys.exit(code or 0)


def _expected(error: BaseException) -> tuple[str, int] | None:
    match error:
        case BaseExceptionGroup(exceptions=inner):
            return _first_expected(inner)
        case ClickException():
            return f"{error.format_message()} (see --help)", EXIT_USAGE
        case UserError() | InvalidSettings() | SchemaError():
            return str(error), EXIT_USAGE
        case ServiceUnavailable():
            return str(error), EXIT_FAILED
        case typer.Abort() | KeyboardInterrupt():
            return "", 130
        case BrokenPipeError():
            return "", 0
    return None


def _first_expected(errors: Sequence[BaseException]) -> tuple[str, int] | None:
    found = [_expected(error) for error in errors]
    return None if None in found else found[0]
