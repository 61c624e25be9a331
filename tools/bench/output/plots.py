"""The plots for docs/performance.md: how latencies are distributed, how cost grows with work."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tools.bench.output.results import Results, percentile
from tools.bench.output.svg import Axis, Points, chart, log_axis

_SHARES: Final = (0.5, *range(2, 98, 2), 98, 99, 99.5, 99.9)
_SHARE_AXIS: Final = Axis("% at most", [(v, f"{v}") for v in (0, 25, 50, 75, 90, 100)])
_PLOTS: Final = {
    "bench-accept.svg": (
        "202 at half of the highest load",
        ("accepted", "raw confirmed publish"),
    ),
    "bench-stop.svg": (
        "One cancel of an obedient process, from the POST",
        ("202", "process gone", "row canceled", "Celery: process gone"),
    ),
}


def write(results: Results, directory: Path) -> None:
    """Write those plots for which there are figures."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, (title, wanted) in _PLOTS.items():
        taken = {key: results.latencies[key] for key in wanted if key in results.latencies}
        if taken:
            (directory / name).write_text(_distribution(title, taken))
    if results.growth:
        (directory / "bench-growth.svg").write_text(_growth(results.growth))


def _distribution(title: str, latencies: Mapping[str, Sequence[float]]) -> str:
    lines: dict[str, Points] = {
        name: [(percentile(taken, share), share) for share in _SHARES]
        for name, taken in latencies.items()
    }
    x = log_axis("ms", [ms for points in lines.values() for ms, _ in points])
    return chart(title, x, _SHARE_AXIS, lines)


def _growth(costs: Mapping[str, Mapping[int, float]]) -> str:
    lines = {name: sorted(by_size.items()) for name, by_size in costs.items()}
    sizes = [size for points in lines.values() for size, _ in points]
    x = Axis("how many", _powers(min(sizes), max(sizes)), is_log=True)
    y = log_axis("ms per cancel", [ms for points in lines.values() for _, ms in points])
    return chart("Cost of a cancel by size", x, y, lines, dots=True)


def _powers(least: int, most: int) -> list[tuple[float, str]]:
    values = [least]
    while values[-1] < most:
        values.append(values[-1] * 10)
    return [(float(value), f"{value:,}") for value in values]
