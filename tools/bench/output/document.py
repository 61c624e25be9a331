"""The part of docs/performance.md that a recorded run of all measures writes."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Final

from tools.bench.output.report import cells, number
from tools.bench.output.results import Results, Row
from tools.errors import ToolError

BEGIN: Final = '<!-- What follows is written by `make bench ARGS="--record"`. -->'
END: Final = "<!-- End of what is written. -->"

_WIDTH: Final = 100
_PEERS: Final = ("celery", "dramatiq", "dramatiq-abort", "faststream")


def require_place(path: Path) -> None:
    """Raise ToolError if the document has no place for figures."""
    _around(path)


def redraw(results: Results, rounds: int, requirements: Path, path: Path) -> None:
    """Write the machine, the versions and the table of `results` where the document has them.

    `requirements`: the pinned versions of the peers. Raises ToolError if the document has no place.
    """
    before, after = _around(path)
    text = f"{_how(results, rounds, _versions(requirements))}\n\n{_table(results.rows)}"
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def _around(path: Path) -> tuple[str, str]:
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ToolError(f"{path} lacks the lines between which the figures go: {BEGIN} … {END}")
    return before, after


def _how(results: Results, rounds: int, peers: Sequence[str]) -> str:
    listed = (f"- **Machine:** {results.machine}.", f"- **Peers:** {', '.join(peers)}.")
    lines = "\n".join(fill(line, _WIDTH, subsequent_indent="  ") for line in listed)
    return f"Medians of {rounds} rounds, with the least and the most.\n\n{lines}"


def _versions(requirements: Path) -> list[str]:
    pinned = dict(
        line.split("==") for line in requirements.read_text().splitlines() if "==" in line
    )
    return [f"{name} {pinned[name]}" for name in _PEERS]


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "| measure | ours | against | ratio | bar | |",
        "| --- | ---: | --- | ---: | ---: | --- |",
    ]
    for row in rows:
        shown = cells(row)
        ours, theirs = (
            shown[name] and f"{shown[name]}{_spread(row, name)}" for name in ("ours", "theirs")
        )
        versus = f"{row.against}: {theirs}" if row.against and theirs else row.against
        lines.append(
            f"| {row.measure} | {ours} | {versus} | {shown['ratio']} | {shown['bar']} "
            f"| {shown['verdict']} |"
        )
    return "\n".join(lines)


def _spread(row: Row, whose: str) -> str:
    """The least and the most, if there are several rounds."""
    rounds = row.rounds.get(whose, [])
    return f" ({number(min(rounds))} to {number(max(rounds))})" if len(rounds) > 1 else ""
