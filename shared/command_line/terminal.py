"""What only a terminal gets: tables that fit its width, and progress bars.

Apart from `output`: most commands write to a pipe, where they need none of this.
"""

import sys
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from shared.command_line.columns import Column, fit


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Rich would exit with 1 here; `shared.command_line.cli` handles a closed pipe.
        raise BrokenPipeError


def is_terminal() -> bool:
    """Whether a person can be asked: stdin and stderr are a terminal."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def confirm(question: str) -> None:
    """Ask whether to go on. Raises typer.Abort if not."""
    # On stderr: what is printed on stdout may be for a program. With `err` alone, the space after
    # the question would be on stdout.
    with redirect_stdout(sys.stderr):
        typer.confirm(question, abort=True, err=True)


def print_table(
    headings: Sequence[str],
    lines: Sequence[Sequence[str]],
    prose: Container[str],
    may_hide: Sequence[str],
) -> Sequence[str]:
    """Print lines of escaped cells on stdout; the headings of columns that were left out.

    Only columns in `prose` are wrapped, and only those in `may_hide` left out. If that is too wide
    for the terminal, print each line as a list.
    """
    columns = [
        Column(heading, [line[place] for line in lines], wraps=heading in prose)
        for place, heading in enumerate(headings)
    ]
    console = _console()
    shown = fit(columns, may_hide, console.width)
    if shown is None:
        for number, line in enumerate(lines):
            if number:
                console.print()
            print_facts(list(zip(headings, line, strict=True)))
        return ()
    table = Table(box=None)
    for column in shown:
        table.add_column(
            column.heading, no_wrap=not column.wraps, min_width=column.least, overflow="fold"
        )
    for cells in zip(*(column.cells for column in shown), strict=True):
        table.add_row(*cells)
    console.print(table)
    kept = {column.heading for column in shown}
    return [heading for heading in headings if heading not in kept]


def print_facts(lines: Iterable[Sequence[str]]) -> None:
    """Print escaped names and values on stdout; only values are wrapped."""
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row(*line)
    _console().print(table)


def _console() -> Console:
    # Text from users is not markup: "[/b]" in a reason would be an error.
    return _Console(markup=False, emoji=False, highlight=False)


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
