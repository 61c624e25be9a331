"""What only a terminal gets: tables that fit its width, and progress bars.

Apart from `shared.output`: most commands write to a pipe, where they need none of this.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Rich would exit with 1 here; `shared.cli` handles a closed pipe.
        raise BrokenPipeError


def print_table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Print lines of escaped cells on stdout; without a heading line if all headings are empty."""
    table = Table(*headings, box=None, show_header=any(headings))
    for line in lines:
        table.add_row(*line)
    # Text from users is not markup: "[/b]" in a reason would be an error.
    _Console(markup=False, emoji=False, highlight=False).print(table)


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
