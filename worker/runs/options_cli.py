"""The options of `runs add`, in the words of the command line."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import typer

from shared.command_line import cli
from shared.errors import UserError
from shared.limits import MAX_LABELS, MAX_URL

if TYPE_CHECKING:
    from shared.registrations import RunOptions

_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_RULES: Final[Mapping[str, str]] = {
    "labels": f"at most {MAX_LABELS}, each with a key of 1 to 63 characters without a colon, and a "
    "value of at most 255",
    "url": f"must be an http or https URL of at most {MAX_URL} characters",
    "start_before": "is out of range",
}
_OPTIONS: Final[Mapping[str, str]] = {
    "labels": "--label",
    "url": "--url",
    "start_before": "--start-before",
}


def start_before(text: str) -> datetime | timedelta:
    """A time, or a duration from now. Raises BadParameter."""
    if _RFC_3339.fullmatch(text):
        try:
            return datetime.fromisoformat(text.upper())
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not a time") from None
    try:
        return cli.duration(text)
    except typer.BadParameter as error:
        if "longer" in error.message:
            raise
        raise typer.BadParameter(
            f"{text!r} is neither a time like 2026-12-31T18:00:00Z nor a duration like 30m"
        ) from None


def label(text: str) -> tuple[str, str]:
    """The key and the value of KEY=VALUE. Raises BadParameter."""
    key, found, value = text.partition("=")
    if not (key and found):
        raise typer.BadParameter(f"{text!r} is not KEY=VALUE")
    return key, value


def run_options(labels: Sequence[tuple[str, str]] | None, **options: Any) -> "RunOptions":
    """The options of a run. Raises UserError."""
    from pydantic import ValidationError

    from shared.registrations import RunOptions

    pairs = labels or ()
    if len(dict(pairs)) < len(pairs):
        raise UserError("--label: a key is given twice")
    try:
        return RunOptions(labels=dict(pairs), **options)
    except ValidationError as error:
        field = str(error.errors(include_input=False, include_url=False)[0]["loc"][0])
        raise UserError(f"{_OPTIONS[field]}: {_RULES[field]}") from None
