"""Rows of the table: what was measured, against what, and whether the bar is met."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Bar:
    """What a row's ratio, or its value where it has none, must be. None: it is only shown."""

    at_least: float | None = None
    at_most: float | None = None
    aim: float | None = None
    below: bool = False
    """Whether `at_most` itself is too much."""

    @property
    def text(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:,g}"
        if self.at_most is not None:
            return f"{'<' if self.below else '≤'} {self.at_most:,g}"
        return ""

    def verdict(self, value: float) -> str:
        if self.at_least is not None:
            met = value >= self.at_least
            reached = self.aim is not None and value >= self.aim
        elif self.at_most is not None:
            met = value < self.at_most if self.below else value <= self.at_most
            reached = self.aim is not None and value <= self.aim
        else:
            return ""
        return "not met" if not met else "met, aim met" if reached else "met"


@dataclass(frozen=True, slots=True)
class Row:
    """Medians of rounds. `ratio` is ours by theirs; without theirs the value itself counts."""

    key: str
    measure: str
    unit: str
    ours: float
    bar: Bar
    against: str = ""
    theirs: float | None = None
    note: str = ""
    rounds: dict[str, list[float]] = field(default_factory=dict)
    is_growth: bool = False
    """Whether `ours` is a ratio by itself: the most by the least."""

    @property
    def ratio(self) -> float | None:
        if self.is_growth:
            return self.ours
        return None if not self.theirs else self.ours / self.theirs

    @property
    def verdict(self) -> str:
        return self.bar.verdict(self.ours if self.ratio is None else self.ratio)

    def as_json(self) -> dict[str, Any]:
        described = asdict(self)
        del described["bar"]
        return {
            **described,
            "ratio": self.ratio,
            "bar": self.bar.text,
            "aim": self.bar.aim,
            "verdict": self.verdict,
        }


@dataclass(slots=True)
class Results:
    """All that one run of the bench found."""

    machine: str
    quick: bool
    rows: list[Row] = field(default_factory=list)
    latencies: dict[str, list[float]] = field(default_factory=dict)
    """Samples in ms, by what they are of."""
    growth: dict[str, dict[int, float]] = field(default_factory=dict)
    """Milliseconds per cancel, by how much there is."""

    def as_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "quick": self.quick,
            "rows": [row.as_json() for row in self.rows],
            "percentiles_ms": {
                name: {f"p{p:g}": round(percentile(taken, p), 3) for p in PERCENTILES}
                for name, taken in self.latencies.items()
            },
            "growth_ms": self.growth,
        }

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=1, ensure_ascii=False) + "\n")


PERCENTILES: Final = (50, 90, 99, 99.9)


def percentile(taken: Sequence[float], percent: float) -> float:
    """The smallest sample that `percent` of all do not exceed."""
    ordered = sorted(taken)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def compared(
    key: str,
    measure: str,
    unit: str,
    bar: Bar,
    ours: Sequence[float],
    against: str = "",
    theirs: Sequence[float] = (),
    note: str = "",
) -> Row:
    """A row of the medians of rounds."""
    return Row(
        key,
        measure,
        unit,
        median(ours),
        bar,
        against,
        median(theirs) if theirs else None,
        note,
        {"ours": _rounded(ours), "theirs": _rounded(theirs)},
    )


def _rounded(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


def flatness(key: str, measure: str, costs: dict[int, list[float]], at_most: float = 1.3) -> Row:
    """How much more a cancel costs where there is more: the worst of all pairs of sizes."""
    by_size = [median(costs[size]) for size in sorted(costs)]
    growth = max(
        later / earlier for at, earlier in enumerate(by_size) for later in by_size[at + 1 :]
    )
    shown = ", ".join(f"{cost:.2f}" for cost in by_size)
    return Row(
        key,
        measure,
        "",
        growth,
        Bar(at_most=at_most),
        against="the same at smaller sizes",
        note=f"{shown} ms each",
        rounds={str(size): _rounded(taken) for size, taken in costs.items()},
        is_growth=True,
    )
