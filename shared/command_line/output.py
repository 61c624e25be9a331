"""All output of the command lines, escaped so that untrusted text cannot control a terminal.

No other code writes to stdout or stderr (a test checks that), so that no command can forget to
escape text from users, jobs and publishers.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from io import RawIOBase, TextIOWrapper
from traceback import format_exception
from typing import Any

from shared.text.printable import printable, printable_lines
from shared.text.times import readable_time


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
    if sys.stdout.isatty():
        from shared.command_line import terminal

        terminal.print_facts(lines)
        return
    _print_lines(lines)


def print_columns(
    columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]], may_hide: Sequence[str] = ()
) -> None:
    """A table of `rows`; `columns` maps each heading to the key below it.

    On a terminal that is too narrow, columns in `may_hide` are left out, in this order; if that
    does not help, each row is printed as a list. Times, numbers and names are never cut.
    """
    listed = list(rows)
    cells = [[printable(_cell(row[key])) for key in columns.values()] for row in listed]
    if not sys.stdout.isatty():
        _print_lines([list(columns), *cells])
        return
    from shared.command_line import terminal

    prose = {
        heading
        for heading, key in columns.items()
        if any(isinstance(row[key], str) and " " in row[key] for row in listed)
    }
    if hidden := terminal.print_table(list(columns), cells, prose, may_hide):
        print_error(f"not shown, because the terminal is too narrow: {', '.join(hidden)}")


def flush() -> None:
    """Flush. Raises OSError, for a closed pipe BrokenPipeError."""
    if sys.stdout is not None:  # None: it was closed at start
        sys.stdout.flush()


def drop() -> None:
    """Drop the buffer: it would fail again when the interpreter exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
