"""What callers felt of the faults: for how long no cancel was accepted, or had its outcome."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tools.chaos.faults import SKIPPED
from tools.chaos.observed.facts import Facts

AFTER_SECONDS: Final = 2.0
"""For so long after its end, a fault may still be the cause."""


@dataclass(frozen=True, slots=True)
class Span:
    """When a fault was there, by the clock."""

    began: float
    ended: float

    def touches(self, began: float | None, ended: float | None) -> bool:
        """Whether something that began and ended then may have to do with the fault."""
        if began is None or ended is None:
            return False
        return began <= self.ended + AFTER_SECONDS and ended >= self.began


def strikes(facts: Facts) -> tuple[dict[str, list[Span]], Counter[str]]:
    """By the fault's name: when it struck, and how often it did nothing."""
    begun: dict[tuple[str, float], float] = {}
    struck: dict[str, list[Span]] = defaultdict(list)
    skipped: Counter[str] = Counter()
    for entry in facts.journal:
        if entry["kind"] == "fault_begins":
            begun[entry["name"], entry["planned_at"]] = entry["at"]
        elif entry["kind"] == "fault_ended" and entry["what"].startswith(SKIPPED):
            skipped[entry["name"]] += 1
        elif entry["kind"] == "fault_ended":
            began = begun[entry["name"], entry["planned_at"]]
            struck[entry["name"]].append(Span(began, entry["at"]))
    return struck, skipped


def longest_refusal(facts: Facts, span: Span | None = None) -> float:
    """The longest time without an answer 202 although cancels were asked for, in seconds.

    With a span, of those times that its fault may be the cause of.
    """
    asked = sorted(facts.entries("request"), key=lambda entry: entry["at"])
    accepted = [entry["at"] for entry in asked if entry["status"] == 202]
    failed = [entry["at"] for entry in asked if entry["status"] in (503, None)]
    longest, next_failed = 0.0, 0
    for one, other in pairwise(accepted):
        while next_failed < len(failed) and failed[next_failed] < one:
            next_failed += 1
        was_refused = next_failed < len(failed) and failed[next_failed] <= other
        if was_refused and (span is None or span.touches(one, other)):
            longest = max(longest, other - one)
    return longest


def longest_decision(facts: Facts, span: Span | None = None) -> float:
    """The longest time from an answer 202 to the outcome of its command, in seconds.

    With a span, of those commands that were accepted and undecided while its fault was there.
    """
    accepted = {e["request_id"]: e["at"] for e in facts.entries("request") if e["status"] == 202}
    return max(
        (
            row["finished_at"].timestamp() - accepted[row["reason"]]
            for row in facts.cancellations
            if row["finished_at"]
            and row["reason"] in accepted
            and (
                span is None
                or span.touches(accepted[row["reason"]], row["finished_at"].timestamp())
            )
        ),
        default=0.0,
    )
