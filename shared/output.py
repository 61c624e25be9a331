"""Database rows as people and programs want to read them."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record
from rich.console import Console
from rich.table import Table


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Rich would exit with 1 here; `shared.cli` decides what a reader that left means.
        raise BrokenPipeError


def print_json(value: object) -> None:
    print(json.dumps(value))


def print_table(table: Table) -> None:
    # What people wrote is no markup: "[/b]" in a reason would be an error.
    _Console(markup=False, emoji=False, highlight=False).print(table)


def print_columns(columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A table of `rows`; `columns` maps each heading to the key below it."""
    cells = [[_cell(row[key]) for key in columns.values()] for row in rows]
    if not sys.stdout.isatty():
        _print_lines([list(columns), *cells])
        return
    table = Table(*columns, box=None)
    for line in cells:
        table.add_row(*line)
    print_table(table)


def _print_lines(lines: Sequence[Sequence[str]]) -> None:
    # For grep and its like: a line is a row, however long; rich would fold it at 80 columns.
    shown = [
        ["".join(c if c.isprintable() else " " for c in cell) for cell in row] for row in lines
    ]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        print("  ".join(map(str.ljust, row, widths)).rstrip())


def printable(line: str) -> str:
    """`line` without what a terminal would obey: people and jobs choose some of its words."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in line
    )


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
