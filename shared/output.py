"""What the command lines print, all of it: whatever it quotes, a terminal obeys nothing of it.

Nothing else prints or writes to stdout and stderr (a test looks for that), so that no command can
forget to escape what people, jobs and publishers chose.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from io import TextIOWrapper
from traceback import format_exception
from typing import Any
from uuid import UUID

from asyncpg import Record
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from shared.printable import printable, printable_lines


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Rich would exit with 1 here; `shared.cli` decides what a reader that left means.
        raise BrokenPipeError


def take_any_text() -> None:
    """Have characters that stdout's encoding does not have escaped. Call from an entry point."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def print_line(line: str) -> None:
    print(printable(line))


def print_text(text: str) -> None:
    """Print `text`, which may have several lines."""
    print(printable_lines(text))


def print_error(message: str) -> None:
    """Print one line on stderr."""
    print(printable(message), file=sys.stderr)


def print_traceback(error: BaseException) -> None:
    print(printable_lines("".join(format_exception(error)).rstrip()), file=sys.stderr)


def print_json(value: object, indent: int | None = None) -> None:
    """JSON in ASCII."""
    print(json.dumps(value, indent=indent))


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """A line for each name and what there is to say of it."""
    lines = [(printable(name), printable(str(value))) for name, value in facts]
    if not sys.stdout.isatty():
        _print_lines(lines)
        return
    table = Table("", "", show_header=False, box=None)
    for line in lines:
        table.add_row(*line)
    _print_table(table)


def print_columns(columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A table of `rows`; `columns` maps each heading to the key below it."""
    cells = [[printable(_cell(row[key])) for key in columns.values()] for row in rows]
    if not sys.stdout.isatty():
        _print_lines([list(columns), *cells])
        return
    table = Table(*columns, box=None)
    for line in cells:
        table.add_row(*line)
    _print_table(table)


def progress() -> Progress:
    """A bar on stderr, where that is a terminal. What it is called is not escaped."""
    console = Console(stderr=True)
    return Progress(console=console, disable=not console.is_terminal, transient=True)


def flush() -> None:
    """Write what is buffered. Raises OSError, BrokenPipeError for a reader that has left."""
    if sys.stdout is not None:  # None: it was closed from the start
        sys.stdout.flush()


def drop() -> None:
    """Drop what is buffered: it would fail once more when the interpreter exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_table(table: Table) -> None:
    # What people wrote is no markup: "[/b]" in a reason would be an error.
    _Console(markup=False, emoji=False, highlight=False).print(table)


def _print_lines(lines: Sequence[Sequence[str]]) -> None:
    # For grep and its like: a line is a row, however long; rich would fold it at 80 columns.
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(map(str.ljust, line, widths)).rstrip())


def plain(row: Mapping[str, Any] | Record) -> dict[str, Any]:
    """`row` with values that JSON knows."""
    return {name: _plain_value(value) for name, value in row.items()}


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(str, value))
    return str(value)


def _plain_value(value: object) -> object:
    match value:
        case datetime():
            return value.isoformat()
        case UUID():
            return str(value)
    return value
