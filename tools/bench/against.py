"""This version beside another one: each measured in its own checkout, in turns."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.table import Table

from tools.bench.output.report import console, number
from tools.errors import ToolError
from tools.services import Services

_PROJECT: Final = Path(__file__).parents[2]
_PACKAGES: Final = ("tools.bench", "tests.benchmarks")
"""Where versions have their bench, the newer ones first."""
_NO_PEERS: Final = "--no-peers"
# For versions without that option: they would install the peers first, and measure them for longer
# than all else.
_PEERLESS: Final = (
    "from {} import __main__ as bench; bench.environment = lambda: None; "
    "raise SystemExit(bench.main())"
)

Rows = Sequence[dict[str, Any]]
"""What one run of the bench measured, as it writes it."""


@dataclass(slots=True)
class Line:
    """One figure of both versions; `new` is this one's, by round."""

    measure: str
    unit: str
    more_is_better: bool
    new: list[float] = field(default_factory=list)
    old: list[float] = field(default_factory=list)

    def change(self, revision: str) -> str:
        """By how much this version is better or worse."""
        if not self.old:
            return "only in this version"
        if not self.new:
            return f"only in {revision}"
        change = median(self.new) / median(self.old) - 1
        if round(abs(change) * 100) == 0:
            return "the same"
        word = "better" if (change > 0) == self.more_is_better else "worse"
        overlap = min(self.new) <= max(self.old) and min(self.old) <= max(self.new)
        return f"{change:+.0%}, {word}{', ranges overlap' if overlap else ''}"


def compare(new: Iterable[Rows], old: Iterable[Rows]) -> list[Line]:
    """All figures and ratios of the rounds of both versions, those that only one has included."""
    lines: dict[tuple[str, bool], Line] = {}

    def add(rounds: Iterable[Rows], *, is_new: bool) -> None:
        for row in (row for rows in rounds for row in rows):
            for is_ratio, value in _figures(row):
                line = lines.setdefault((row["key"], is_ratio), _line(row, is_ratio=is_ratio))
                (line.new if is_new else line.old).append(value)

    add(new, is_new=True)
    add(old, is_new=False)
    return list(lines.values())


def _figures(row: dict[str, Any]) -> Iterator[tuple[bool, float]]:
    yield False, row["ours"]
    if row["ratio"] is not None and not row["is_growth"]:
        yield True, row["ratio"]


def _line(row: dict[str, Any], *, is_ratio: bool) -> Line:
    more_is_better = "≥" in row["bar"] if row["bar"] else row["unit"] == "/s"
    if is_ratio:
        return Line(f"  its ratio to: {row['against']}", "", more_is_better)
    return Line(row["measure"], row["unit"], more_is_better)


def table(lines: Iterable[Line], revision: str) -> Table:
    shown = Table(title="medians of rounds (least-most)", title_justify="left")
    for heading in ("measure", "unit"):
        shown.add_column(heading)
    for heading in ("this version", revision):
        shown.add_column(heading, justify="right")
    shown.add_column("change")
    for line in lines:
        figures = (_spread(line.new), _spread(line.old))
        shown.add_row(line.measure, line.unit, *figures, line.change(revision))
    return shown


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{number(median(values))} ({number(min(values))}-{number(max(values))})"


class Checkout:
    """The sources of a version, and an environment for them."""

    def __init__(self, name: str, tree: Path, python: str | Path) -> None:
        self.name = name
        self._tree = tree
        self._python = python
        places = {name: tree.joinpath(*name.split("."), "__main__.py") for name in _PACKAGES}
        package = next((name for name, place in places.items() if place.exists()), None)
        if package is None:
            raise ToolError(f"{name} has no bench")
        knows = _NO_PEERS in places[package].read_text()
        self._program = ("-m", package, _NO_PEERS) if knows else ("-c", _PEERLESS.format(package))

    def measure(self, services: Services, name: str, directory: Path) -> Rows:
        """One round of the measure `name`; no rows where it fails or is unknown."""
        out = directory / "bench.json"
        command = [self._python, *self._program, "--rounds", "1", "--only", name]
        command += ["--out", out, "--plots", directory]
        # SERVICES was obeyed where these were started.
        environment = {name: value for name, value in os.environ.items() if name != "SERVICES"}
        environment |= {"DATABASE_URL": services.database_url, "AMQP_URL": services.amqp_url}
        process = subprocess.Popen(
            command, cwd=self._tree, env=environment, stdout=subprocess.DEVNULL
        )
        try:
            if process.wait() != 0:
                print(f"bench: {name} of {self.name} failed", file=sys.stderr)
                return []
        finally:
            if process.poll() is None:
                process.terminate()  # it has programs of its own to end
                process.wait()
        rows: Rows = json.loads(out.read_text())["rows"]
        return rows


@contextmanager
def worktree_of(revision: str) -> Iterator[Checkout]:
    """`revision` in a worktree of its own, with an environment of its own. Raises ToolError."""
    with tempfile.TemporaryDirectory(prefix="run-cancel-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # jobs of another user must get to the launcher
        tree = directory / "tree"
        git = ("git", "-C", str(_PROJECT), "worktree")
        _run(*git, "add", "--quiet", "--detach", str(tree), revision)
        try:
            interpreter = Path(sys.executable).resolve()
            _run("make", "-C", str(tree), ".venv/.installed", f"PYTHON={interpreter}")
            yield Checkout(revision, tree, tree / ".venv" / "bin" / "python")
        finally:
            _run(*git, "remove", "--force", str(tree))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ToolError(f"{command[0]} failed: {last}")


def measure(services: Services, revision: str, names: Sequence[str], rounds: int) -> None:
    """Measure both versions in turns on the same services, and show what differs.

    `names` are those of measures, each of which may fail without the others.
    """
    this = Checkout("this version", _PROJECT, sys.executable)
    with (
        worktree_of(revision) as other,
        tempfile.TemporaryDirectory(prefix="run-cancel-bench-") as directory,
    ):
        old: list[Rows] = []
        new: list[Rows] = []
        for at, name in product(range(1, rounds + 1), names):
            for version, measured in ((other, old), (this, new)):
                print(f"bench: round {at}, {name}: {version.name}", file=sys.stderr)
                measured.append(version.measure(services, name, Path(directory)))
    console().print(table(compare(new, old), revision), highlight=False)
