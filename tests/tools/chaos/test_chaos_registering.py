"""The checker of registrations finds each way in which one can go wrong. Facts are written down."""

from dataclasses import replace

import pytest

from tests.support.chaos.facts import AT, change, event, only, run, texts
from tests.support.chaos.registering import OPTIONS, OTHERS, registration, round_of
from tools.chaos.checks import registered
from tools.chaos.driver.journal import Entry
from tools.chaos.observed.facts import Row


@pytest.mark.parametrize(
    "attempts",
    [
        [registration("put", "created", OPTIONS), registration("post", "exists", OPTIONS)],
        [registration("put", "unknown", OPTIONS), registration("put", "exists", OPTIONS)],
        [registration("message", "confirmed", OPTIONS), registration("put", "differs", OTHERS)],
        [registration("message", "unknown", OPTIONS), registration("message", "refused", OTHERS)],
        [registration("direct", "created", OPTIONS), registration("post", "conflict", OTHERS)],
        # Both at once: either may win.
        [registration("message", "confirmed", OTHERS), registration("put", "created", OPTIONS)],
    ],
)
def test_registrations_that_are_right_are_no_violation(attempts: list[Entry]) -> None:
    checked = registered.check(round_of(*attempts))
    assert (checked.violations, checked.count > 5) == ([], True)


def test_options_may_be_left_out_and_times_have_any_zone() -> None:
    due = "2026-01-02T02:00:00+02:00"
    asked = {**OPTIONS, "start_before": due}
    known = round_of(
        registration("put", "created", asked), start_before="2026-01-02T00:00:00+00:00"
    )
    known.runs[7]["start_before"] = AT
    assert not registered.check(known).violations


@pytest.mark.parametrize(
    ("way", "told"), [("put", "created"), ("post", "exists"), ("message", "confirmed")]
)
def test_a_registration_is_lost(way: str, told: str) -> None:
    known = replace(round_of(registration(way, told, OPTIONS)), runs={}, events=[])
    found = only(registered.check(known))
    assert found == f"registering run 7 by {way} was told {told}: it is lost"


def test_what_nobody_knows_of_may_be_missing() -> None:
    attempts = [
        registration("put", "unknown", OPTIONS),
        registration("message", "refused", OPTIONS),
    ]
    assert not registered.check(replace(round_of(*attempts), runs={}, events=[])).violations


def test_a_run_is_there_that_nobody_asked_for() -> None:
    assert only(registered.check(round_of())) == "run 7 is there, and was never asked for"


@pytest.mark.parametrize(
    "wrong",
    [
        registration("put", "created", OTHERS),
        registration("message", "confirmed", OTHERS),
        registration("put", "differs", OPTIONS),
    ],
)
def test_a_run_is_on_record_as_nobody_asked_first(wrong: Entry) -> None:
    found = texts(registered.check(round_of(wrong)))
    assert any("and was first asked for as" in text for text in found)


def test_a_run_has_the_options_of_a_later_registration() -> None:
    later = registration("put", "unknown", OPTIONS, began=AT.timestamp() + 5)
    known = round_of(registration("message", "confirmed", OTHERS), later)
    assert "and was first asked for as" in only(registered.check(known))


@pytest.mark.parametrize(
    ("way", "told", "options"),
    [
        ("put", "exists", OTHERS),
        ("put", "started", OTHERS),
        ("put", "started", OPTIONS),  # it is still queued
        ("put", "differs", OPTIONS),
        ("post", "conflict", OPTIONS),
    ],
)
def test_an_answer_is_untrue(way: str, told: str, options: Row) -> None:
    attempts = [registration("put", "created", OPTIONS), registration(way, told, options)]
    assert f"by {way} was told {told}: asked and" in only(registered.check(round_of(*attempts)))


def test_a_run_was_not_created_when_its_answer_says_so() -> None:
    attempts = [
        registration("put", "unknown", OPTIONS),
        registration("put", "created", OPTIONS, began=AT.timestamp() + 5, at=AT.timestamp() + 6),
    ]
    assert "created at" in only(registered.check(round_of(*attempts)))


def test_a_run_that_left_the_queue_may_be_called_a_conflict() -> None:
    known = round_of(
        registration("put", "created", OPTIONS), registration("post", "conflict", OPTIONS)
    )
    started = change(2, 101, run("queued"), run("running"))
    known = replace(known, run_transitions=[*known.run_transitions, started])
    assert not registered.check(known).violations


def test_a_run_is_told_to_be_new_twice() -> None:
    attempts = [registration(way, "created", OPTIONS) for way in ("put", "post")]
    assert only(registered.check(round_of(*attempts))) == "run 7 was told to be new 2 times"


def test_a_run_is_inserted_twice() -> None:
    known = round_of(registration("put", "created", OPTIONS))
    known = replace(known, run_transitions=[*known.run_transitions, *known.run_transitions])
    assert only(registered.check(known)) == "run 7 was inserted 2 times"


def test_options_change_later() -> None:
    known = round_of(registration("put", "created", OPTIONS))
    relabeled = change(2, 101, run("queued"), run("queued", stop_scope="leader"))
    known = replace(known, run_transitions=[*known.run_transitions, relabeled])
    found = only(registered.check(known))
    assert found == "the options of run 7 changed: {'stop_scope': ('tree', 'leader')}"


@pytest.mark.parametrize(
    ("told", "is_valid"), [("status 500", True), ("invalid", True), ("created", False)]
)
def test_an_answer_cannot_be(told: str, *, is_valid: bool) -> None:
    attempts = [
        registration("put", "unknown", OPTIONS),
        registration("put", told, OPTIONS, is_valid=is_valid),
    ]
    assert only(registered.check(round_of(*attempts))).endswith(f"was told {told}")


def test_nothing_tells_of_a_run() -> None:
    known = replace(round_of(registration("put", "created", OPTIONS)), events=[])
    assert only(registered.check(known)) == "run 7 is on record, and no event says so"


def test_an_event_tells_other_options() -> None:
    untrue = event(11, "run.registered", run("queued", stop_scope="leader"))
    known = round_of(registration("put", "created", OPTIONS))
    found = only(registered.check(replace(known, events=[*known.events, untrue])))
    assert found.startswith("an event says that run 7 is registered otherwise")


def test_an_event_tells_of_a_run_that_is_not_on_record() -> None:
    known = replace(round_of(registration("put", "unknown", OPTIONS)), runs={})
    assert only(registered.check(known)) == "run 7 is not on record, and 1 events say that it is"
