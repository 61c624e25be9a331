"""What a round was made of, and what was found, as text."""

from collections import Counter
from collections.abc import Iterable, Iterator

from tools.chaos.observed.facts import Facts
from tools.chaos.observed.felt import longest_decision, longest_refusal, strikes
from tools.chaos.round import Findings

MOST_SHOWN = 25
"""Violations of one promise, in words; the log has the rest."""


def report(findings: Findings) -> str:
    return "\n".join(
        [
            *_load(findings.facts),
            "",
            *_faults(findings),
            "",
            *_promises(findings),
            *_details(findings),
            "",
            f"seed {findings.options.seed}, {findings.options.seconds:g} s: "
            f"{findings.violations or 'no'} violation(s)",
        ]
    )


def _load(facts: Facts) -> Iterator[str]:
    requests = facts.entries("request")
    registrations, many = facts.entries("registration"), facts.entries("bulk")
    published = facts.entries("publish")
    outcomes = Counter(row["outcome"] for row in facts.cancellations)
    launchers_killed = len(facts.entries("launcher_killed"))
    yield "load"
    yield f"  REST requests      {len(requests):6}  {_counts(e['status'] for e in requests)}"
    yield f"  direct publishes   {len(published):6}  {_counts(e['result'] for e in published)}"
    yield f"  cancels of many    {len(many):6}  " + _counts(
        result["status"] for entry in many for result in entry["results"]
    )
    yield f"  registrations      {len(registrations):6}  " + _counts(
        f"{entry['way']} {entry['result']}" for entry in registrations
    )
    yield f"  runs               {len(facts.runs):6}  " + _counts(
        run["status"] for run in facts.runs.values()
    )
    launches = len(facts.entries("launch"))
    yield f"  launches           {launches:6}  launchers killed {launchers_killed}"
    yield f"  commands recorded  {sum(outcomes.values()):6}  {_counts(outcomes.elements())}"
    yield (
        f"  dead letters       {len(facts.letters):6}  "
        + _counts(letter["reason"] for letter in facts.letters)
        + _repeated(facts)
    )
    yield f"  events             {len(facts.events):6}  " + _counts(
        heard.routing_key for heard in facts.events
    )
    yield f"  longest time from 202 to outcome {longest_decision(facts):.2f} s"
    yield f"  longest time in which no cancel got 202 {longest_refusal(facts):.2f} s"


def _repeated(facts: Facts) -> str:
    copies = Counter(it["command_id"] for it in facts.letters if it["command_id"])
    more = sum(count - 1 for count in copies.values())
    return f" ({more} of them repeated for the same command)" if more else ""


def _counts(values: Iterable[object]) -> str:
    counted = Counter(str(value) for value in values)
    return ", ".join(f"{name} {count}" for name, count in counted.most_common())


def _faults(findings: Findings) -> Iterator[str]:
    """What was seen counts for each fault that was there at that time, or just before."""
    struck, skipped = strikes(findings.facts)
    violations = [v for checked in findings.checked for v in checked.violations]
    yield (
        f"{'fault':22}{'count':>7}{'skipped':>9}{'violations meanwhile':>22}"
        f"{'no 202, s':>11}{'outcome, s':>12}"
    )
    for name in sorted(struck.keys() | skipped.keys()):
        spans = struck.get(name, [])
        near = sum(any(span.touches(v.began, v.ended) for span in spans) for v in violations)
        refused = max((longest_refusal(findings.facts, span) for span in spans), default=0.0)
        decided = max((longest_decision(findings.facts, span) for span in spans), default=0.0)
        counts = f"{len(spans):7}{skipped[name]:9}"
        yield f"{name:22}{counts}{near:22}{refused:11.1f}{decided:12.1f}"


def _promises(findings: Findings) -> Iterator[str]:
    yield f"{'promise':10}{'':50}{'checked':>8}{'violations':>12}"
    for checked in findings.checked:
        violations = len(checked.violations)
        yield f"{checked.promise:10}{checked.title:50}{checked.count:8}{violations:12}"


def _details(findings: Findings) -> Iterator[str]:
    for checked in findings.checked:
        for violation in checked.violations[:MOST_SHOWN]:
            yield f"  ✗ {checked.promise}: {violation.text}"
        if (more := len(checked.violations) - MOST_SHOWN) > 0:
            yield f"  ✗ {checked.promise}: and {more} more"
