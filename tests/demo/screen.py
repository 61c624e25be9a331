"""How the demo looks: sections, facts, quoted commands and output. 80 columns are enough."""

import sys
from io import TextIOWrapper

from rich.console import Console
from rich.table import Table
from rich.text import Text


class Screen:
    def __init__(self) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            # A terminal that knows no check mark must not end the demo.
            sys.stdout.reconfigure(errors="replace")
        self.console = Console(highlight=False, markup=False, emoji=False)

    def section(self, title: str) -> None:
        self.console.print()
        self.console.print(Text(title, style="bold"))

    def good(self, text: str, ms: float | None = None) -> None:
        self._item(Text("✓", style="green"), text if ms is None else f"{text} ({ms:.0f} ms)")

    def bad(self, text: str) -> None:
        self._item(Text("✗", style="bold red"), text)

    def note(self, text: str) -> None:
        self._item(Text("·", style="dim"), text, "dim")

    def command(self, text: str) -> None:
        """The command that does by hand what happens next."""
        self._item(Text("$", style="dim"), text, "dim")

    def quote(self, line: str) -> None:
        """A line that another program wrote."""
        self._item(Text("│", style="cyan"), line)

    def line(self, text: str = "", style: str = "") -> None:
        """A line that is meant to be copied: never folded."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    def _item(self, sign: Text, text: str, style: str = "") -> None:
        # A grid, so that what is folded stays behind the sign.
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(width=3, justify="right")
        grid.add_column(overflow="fold")
        grid.add_row(sign, Text(text, style=style))
        self.console.print(grid)
