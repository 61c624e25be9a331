"""What a round says of its faults: how often each struck, and what callers felt meanwhile."""

from tests.support.chaos.facts import AT, command, facts
from tools.chaos.driver.journal import Entry
from tools.chaos.faults import NOT_NOW
from tools.chaos.observed.facts import Facts
from tools.chaos.observed.felt import Span, longest_decision, longest_refusal, strikes


def _request(at: float, status: int | None) -> Entry:
    return {"kind": "request", "request_id": f"r{at}", "at": at, "status": status}


def _asked(*answers: tuple[float, int | None]) -> Facts:
    return facts(journal=[_request(at, status) for at, status in answers])


def test_a_fault_that_did_nothing_is_not_counted_as_one() -> None:
    journal: list[Entry] = []
    for planned_at, what in ((1.0, "node 2"), (9.0, NOT_NOW)):
        fault = {"name": "partition", "planned_at": planned_at}
        journal.append({"kind": "fault_begins", "at": 100 + planned_at, **fault})
        journal.append({"kind": "fault_ended", "at": 103 + planned_at, "what": what, **fault})

    struck, skipped = strikes(facts(journal=journal))

    assert struck == {"partition": [Span(101.0, 104.0)]}
    assert skipped == {"partition": 1}


def test_a_time_without_an_accepted_cancel_counts_only_if_one_was_refused() -> None:
    refused = _asked((1, 202), (2, 503), (3, None), (9, 202), (30, 202))

    assert longest_refusal(refused) == 8
    assert longest_refusal(_asked((1, 202), (9, 202))) == 0


def test_it_counts_for_a_fault_that_was_there_or_had_just_ended() -> None:
    refused = _asked((10, 202), (12, 503), (18, 202))

    assert longest_refusal(refused, Span(5, 8)) == 8
    assert longest_refusal(refused, Span(5, 7)) == 0
    assert longest_refusal(refused, Span(19, 20)) == 0


def test_a_decision_is_as_late_as_its_outcome() -> None:
    accepted = AT.timestamp() - 4
    decided = facts(
        journal=[_request(accepted, 202)],
        cancellations=[{**command("canceled"), "reason": f"r{accepted}", "finished_at": AT}],
    )

    assert longest_decision(decided) == 4
    assert longest_decision(decided, Span(accepted - 9, accepted - 1)) == 4
    assert longest_decision(decided, Span(accepted - 9, accepted - 3)) == 0
