"""How the demo looks: sections, facts, quoted commands and output. 80 columns are enough."""

import sys
from collections.abc import Iterable, Mapping
from io import TextIOWrapper
from itertools import chain, repeat
from textwrap import wrap

from rich.console import Console
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

    def to_paste(self, blocks: Mapping[str, Iterable[str]]) -> None:
        """Commands for other terminals, under what they are for."""
        for title, commands in blocks.items():
            self.line()
            self.line(f"# {title}", style="bold")
            for command in commands:
                self.line(command)
        self.line()

    def rows(self, head: tuple[str, str, str], rows: list[tuple[str, str, str]]) -> None:
        """A table: a number, what it is about, and a dim remark."""
        width = max(len(row[1]) for row in rows) + 2
        self.line()
        for row in (head, *rows):
            number, what, remark = row
            line = Text(f"  {number:>9}  {what:<{width}}", style="bold" if row is head else "")
            self.console.print(line.append(remark, "dim"), soft_wrap=True)
        self.line()

    def _item(self, sign: Text, text: str, style: str = "") -> None:
        # Folded by hand: the rest stays behind the sign, and no line ends with spaces.
        width = self.console.width - 4
        folded = wrap(text, width, break_on_hyphens=False, break_long_words=False)
        for first, line in zip(chain([sign], repeat(Text(" "))), folded, strict=False):
            self.console.print(Text.assemble("  ", first, " ", (line, style)), soft_wrap=True)
