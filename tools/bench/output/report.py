"""What the terminal shows."""

import os
import platform
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tools.bench.output.results import Results, Row

_SHOWN_WIDTH = 150


def machine(services: str) -> str:
    """The machine in one line."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in info if line.startswith("model name")), "?")
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    return (
        f"{os.cpu_count()} cores of {model}, {memory:.0f} GB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, {services}; "
        "broker, database and load on the same cores"
    )


def show(results: Results) -> None:
    table = Table(title="medians; ratios are ours by theirs", title_justify="left")
    for heading in ("measure", "ours", "against", "theirs", "ratio", "bar", "aim", "verdict"):
        numeric = heading in ("ours", "theirs", "ratio", "bar", "aim")
        table.add_column(heading, justify="right" if numeric else "left")
    for row in results.rows:
        table.add_row(*cells(row).values())
    shown = console()
    shown.print(table, results.machine, sep="\n", highlight=False)
    for row in results.rows:
        if row.note:
            shown.print(f"{row.measure}: {row.note}", highlight=False)


def console() -> Console:
    return Console(width=None if Console().is_terminal else _SHOWN_WIDTH)


def cells(row: Row) -> dict[str, str]:
    """What a table shows of a row, by heading."""
    return {
        "measure": row.measure,
        "ours": "" if row.is_growth else _amount(row.ours, row.unit),
        "against": row.against,
        "theirs": "" if row.theirs is None else _amount(row.theirs, row.unit),
        "ratio": "" if row.ratio is None else f"{row.ratio:.2f}",
        "bar": row.bar.text,
        "aim": "" if row.bar.aim is None else f"{row.bar.aim:g}",
        "verdict": row.verdict,
    }


def number(value: float) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def _amount(value: float, unit: str) -> str:
    return f"{number(value)} {unit}"
