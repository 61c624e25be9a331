"""What is printed and written down at the end."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tools.mutants.mutant import Mutant
from tools.mutants.outcome import Fate, Outcome

_COLUMNS = (Fate.NOTICED, Fate.NOTICED_WIDER, Fate.TIMED_OUT, Fate.SURVIVED)
_MOST_SHOWN = 160


@dataclass(frozen=True, slots=True)
class Findings:
    outcomes: Sequence[Outcome]
    skipped: Mapping[str, str]
    """Why an equivalent mutant was not tried, by its id."""

    @property
    def counted(self) -> list[Outcome]:
        return [each for each in self.outcomes if each.fate is not Fate.INVALID]

    @property
    def survivors(self) -> list[Outcome]:
        return [each for each in self.outcomes if each.fate is Fate.SURVIVED]

    @property
    def score(self) -> float:
        """Noticed mutants, percent."""
        counted = len(self.counted)
        return 100.0 * (counted - len(self.survivors)) / counted if counted else 100.0


def report(findings: Findings) -> str:
    lines = [
        f"{'area':<20}{'mutants':>8}{'noticed':>9}{'wider':>7}{'timed out':>11}{'survived':>10}"
    ]
    for area in sorted({each.area for each in findings.counted}):
        lines.append(_row(area, [each for each in findings.counted if each.area == area]))
    lines.append(_row("all", findings.counted))
    for each in findings.survivors:
        lines += ["", f"survived {each.mutant.id} {each.area}: {each.mutant.place}"]
        lines.append(difference(each.mutant))
    invalid = len(findings.outcomes) - len(findings.counted)
    lines += ["", f"{findings.score:.0f} % of {len(findings.counted)} mutants were noticed"]
    if invalid or findings.skipped:
        lines.append(f"not counted: {invalid} invalid, {len(findings.skipped)} equivalent")
    return "\n".join(lines)


def _row(name: str, outcomes: Sequence[Outcome]) -> str:
    fates = Counter(each.fate for each in outcomes)
    noticed, wider, timed_out, survived = (fates[fate] for fate in _COLUMNS)
    return f"{name:<20}{len(outcomes):>8}{noticed:>9}{wider:>7}{timed_out:>11}{survived:>10}"


def line(outcome: Outcome) -> str:
    """What became of one mutant."""
    mutant = outcome.mutant
    test = f": {outcome.test}" if outcome.test else ""
    shown = f"{mutant.id} {mutant.place} {outcome.fate}{test} ({outcome.seconds:.0f} s)"
    is_survivor = outcome.fate is Fate.SURVIVED
    return f"{shown}\n{difference(mutant)}" if is_survivor else shown


def difference(mutant: Mutant) -> str:
    """The line before and after, cut to what differs."""
    before, after = mutant.before, mutant.after
    if len(before) > _MOST_SHOWN or len(after) > _MOST_SHOWN:
        same = next(
            (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b),
            min(len(before), len(after)),
        )
        start = max(0, same - 40)
        before, after = (
            ("…" if start else "") + text[start : start + _MOST_SHOWN] for text in (before, after)
        )
    return f"  - {before}\n  + {after}"


def summary(findings: Findings, seed: int) -> dict[str, Any]:
    """For --summary, as JSON."""
    return {
        "seed": seed,
        "score": round(findings.score, 1),
        "equivalent": dict(findings.skipped),
        "mutants": [
            {
                "id": each.mutant.id,
                "area": each.area,
                "file": each.mutant.file,
                "line": each.mutant.line,
                "scope": each.mutant.scope,
                "operator": each.mutant.change.operator,
                "before": each.mutant.before,
                "after": each.mutant.after,
                "fate": each.fate.value,
                "test": each.test,
                "seconds": round(each.seconds, 1),
            }
            for each in findings.outcomes
        ],
    }
