"""All output of the command lines, escaped so that untrusted text cannot control a terminal.

No other code writes to stdout or stderr (a test checks that), so that no command can forget to
escape text from users, jobs and publishers.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from io import RawIOBase, TextIOWrapper
from traceback import format_exception
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from shared.printable import printable, printable_lines
from shared.times import readable_time


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Rich would exit with 1 here; `shared.cli` handles a closed pipe.
        raise BrokenPipeError


def take_any_text() -> None:
    """Make stdout escape characters that its encoding lacks. Call from an entry point."""
    if not isinstance(sys.stdout, TextIOWrapper):
        return
    if isinstance(sys.stdout.buffer, RawIOBase):
        # With PYTHONUNBUFFERED, what the kernel does not take at once is lost: for example, when a
        # signal interrupts a write to a full pipe (write(2); seen with reports of over 64 KB).
        fd, encoding = sys.stdout.fileno(), sys.stdout.encoding
        sys.stdout = open(fd, "w", encoding=encoding, closefd=False)  # noqa: SIM115 - it stays open
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
    """A line for each name and its value."""
    lines = [(printable(name), printable(_cell(value))) for name, value in facts]
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


class Bar:
    def __init__(self, shown: Progress, task: TaskID) -> None:
        self._shown = shown
        self._task = task

    def advance(self, steps: int = 1) -> None:
        self._shown.advance(self._task, steps)

    def move_to(self, step: int) -> None:
        self._shown.update(self._task, completed=step)


class Bars:
    """Progress bars, one below the other. Their titles are not escaped."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown

    def begin(self, title: str, total: int) -> Bar:
        """Show a bar of `total` steps."""
        return Bar(self._shown, self._shown.add_task(title, total=total))


@contextmanager
def progress() -> Iterator[Bars]:
    """Progress bars on stderr, if that is a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as shown:
        yield Bars(shown)


def flush() -> None:
    """Flush. Raises OSError, for a closed pipe BrokenPipeError."""
    if sys.stdout is not None:  # None: it was closed at start
        sys.stdout.flush()


def drop() -> None:
    """Drop the buffer: it would fail again when the interpreter exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_table(table: Table) -> None:
    # Text from users is not markup: "[/b]" in a reason would be an error.
    _Console(markup=False, emoji=False, highlight=False).print(table)


def _print_lines(lines: Sequence[Sequence[str]]) -> None:
    # For grep and the like, each row is one line, however long; rich would wrap it at 80 columns.
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(map(str.ljust, line, widths)).rstrip())


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return readable_time(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(str, value))
    return str(value)
