"""The regression guard: ratios of this run against those that were recorded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tools.bench.output.results import Results, Row

TOLERANCE: Final = 25.0
"""By how many percent a figure may be worse than recorded: what two runs differ by if little else
runs on the machine. For memory, never more."""


def record(results: Results, path: Path) -> None:
    """Write `results` where `compare` finds them; of a quick run, only what the guard needs.

    What this run did not measure stays as it was recorded.
    """
    recorded = _read(path)
    if results.quick:
        recorded["guard"] = {row.key: _figure(row) for row in results.rows}
    else:
        full = results.as_json()
        measured = {row["key"] for row in full["rows"]}
        kept = [row for row in recorded.get("rows", []) if row["key"] not in measured]
        recorded = {
            **recorded,
            **full,
            "rows": kept + full["rows"],
            "percentiles_ms": {**recorded.get("percentiles_ms", {}), **full["percentiles_ms"]},
            "growth_ms": {**recorded.get("growth_ms", {}), **full["growth_ms"]},
        }
    path.write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n")


def compare(
    results: Results, path: Path, say: Callable[[str], None], tolerance: float = TOLERANCE
) -> int:
    """Exit code 1 if a figure is worse than recorded by more than the tolerance, 2 without one."""
    recorded = _read(path).get("guard", {})
    if not recorded:
        say(f"{path} has no recorded ratios to compare with")
        return 2
    worse = 0
    for row in results.rows:
        if row.key not in recorded or not row.bar.text:
            continue
        now, then = _figure(row), recorded[row.key]
        most = 1 + (TOLERANCE if row.ratio is None else tolerance) / 100
        if then > now * most if row.bar.at_least is not None else now > then * most:
            worse += 1
            say(f"REGRESSION {row.key}: {now:.2f}, recorded {then:.2f}")
    if not worse:
        say(f"no figure is more than {tolerance:g} % worse than recorded")
    return 1 if worse else 0


def _figure(row: Row) -> float:
    return round(row.ours if row.ratio is None else row.ratio, 3)


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.exists() else {}
