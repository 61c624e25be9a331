"""What is printed: a table of what was left, and the checks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Check:
    what: str
    problems: Sequence[str] = ()


def show(title: str, rows: Iterable[tuple[str, str, int, str]], checks: Iterable[Check]) -> bool:
    """Print a scenario's results; whether all checks hold."""
    console = Console(width=120, highlight=False)
    table = Table(title=title, title_justify="left")
    for name in ("left by the old version", "where", "number", "became"):
        table.add_column(name, justify="right" if name == "number" else "left")
    for what, where, number, became in rows:
        table.add_row(what, where, str(number), became)
    console.print(table)
    holds = True
    for check in checks:
        holds = holds and not check.problems
        console.print(f"  {'FAILED' if check.problems else 'ok':<6}  {check.what}")
        for problem in check.problems:
            console.print(f"          {problem}")
    return holds
