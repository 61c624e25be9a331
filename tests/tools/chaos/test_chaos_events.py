"""The checker of events: it finds each way in which events can be wrong. Facts are written down."""

import pytest

from tests.support.chaos.facts import (
    COMMAND,
    LETTER,
    change,
    command,
    event,
    facts,
    only,
    run,
)
from tools.chaos.checks.events import told
from tools.chaos.observed.event_queue import Heard


def test_events_that_are_right_are_no_violation() -> None:
    checked = told.check(facts())
    assert (checked.violations, checked.count > 10) == ([], True)


def test_an_event_may_come_again_and_late() -> None:
    events = facts().events
    assert not told.check(facts(events=[*events, events[0]])).violations


def test_a_sequence_may_be_written_without_zeros() -> None:
    events = [
        event(9 + at, it.routing_key, it.event["data"], sequence=str(9 + at))
        for at, it in enumerate(facts().events)
    ]
    assert not told.check(facts(events=events)).violations


@pytest.mark.parametrize(
    ("at", "found"),
    [
        (0, "run 7 became queued: no event ci.run.registered.v1"),
        (1, "run 7 became canceled: no event ci.run.finished.v1"),
        (2, f"command {COMMAND} on run 7 became canceled: no event ci.cancel.settled.v1"),
        (3, "letter 3 became stop_failed: no event ci.cancel.rejected.v1"),
    ],
)
def test_an_event_is_missing(at: int, found: str) -> None:
    events = facts().events
    assert only(told.check(facts(events=events[:at] + events[at + 1 :]))) == found


def test_a_step_without_an_event_of_its_own() -> None:
    claimed = change(2, 101, run("queued"), run("running"))
    stopping = change(3, 102, run("running"), run("canceling"))
    texts = [
        violation.text
        for violation in told.check(
            facts(run_transitions=[*facts().run_transitions, claimed, stopping])
        ).violations
    ]
    assert "run 7 became running: no event ci.run.started.v1" in texts
    assert "run 7 became canceling: no event ci.run.canceling.v1" in texts


def test_an_event_is_told_again_under_another_id() -> None:
    events = facts().events
    again = event(14, "run.finished", events[1].event["data"])
    assert "once more than the 1 on record" in only(told.check(facts(events=[*events, again])))


def test_an_event_tells_what_was_rolled_back() -> None:
    untrue = event(14, "run.started", run("running"))
    found = only(told.check(facts(events=[*facts().events, untrue])))
    assert "tells ci.run.started.v1, run 7, running, which is not on record" in found


@pytest.mark.parametrize(
    ("at", "name", "value"),
    [
        (0, "labels", {}),
        (1, "proof", "cgroup_empty"),
        (1, "ended", None),
        (2, "duration_ms", 5),
        (3, "error", "another"),
    ],
)
def test_an_event_says_other_than_the_record(at: int, name: str, value: object) -> None:
    events = facts().events
    data = {**events[at].event["data"], name: value}
    events[at] = event(10 + at, events[at].routing_key, data)
    assert f"says other than the record: {{'{name}': (" in only(told.check(facts(events=events)))


def test_a_wrong_outcome_is_untrue_and_the_right_one_is_missing() -> None:
    events = facts().events
    events[2] = event(12, "cancel.settled", {**events[2].event["data"], "outcome": "no_op"})
    texts = sorted(violation.text for violation in told.check(facts(events=events)).violations)
    assert texts == [
        f"command {COMMAND} on run 7 became canceled: no event ci.cancel.settled.v1",
        f"event 12 tells ci.cancel.settled.v1, command {COMMAND} on run 7, no_op, "
        "which is not on record",
    ]


def test_an_event_is_published_with_two_contents() -> None:
    other = event(11, "run.finished", {**facts().events[1].event["data"], "exit_code": 1})
    found = only(told.check(facts(events=[*facts().events, other])))
    assert found == "event 11 was published with two contents"


def test_a_sequence_runs_against_the_order_of_the_record() -> None:
    events = facts().events
    early = event(9, "cancel.rejected", LETTER)
    found = only(told.check(facts(events=[early, *events[:-1]])))
    assert found == "run 7: ['ci.cancel.rejected.v1'] have the sequence [9] after 12"


def test_steps_of_one_transaction_are_numbered_backward() -> None:
    # A stop that failed, and the end of it, both in transaction 101.
    failed, canceled = command("stop_failed"), command("canceled")
    evidence = {**canceled["evidence"], "containers": 0}
    one, two, *_ = facts().events
    found = only(
        told.check(
            facts(
                command_changes=[
                    change(2, 101, None, failed),
                    change(3, 101, failed, canceled),
                ],
                events=[
                    one,
                    two,
                    event(12, "cancel.settled", {**canceled, **evidence}),
                    event(13, "cancel.settled", {**failed, **evidence}),
                    event(14, "cancel.rejected", LETTER),
                ],
            )
        )
    )
    assert found == f"command {COMMAND} on run 7: its steps have the sequence [13, 12]"


def test_events_are_published_in_another_order_than_their_sequence() -> None:
    one, two, *others = facts().events
    found = only(told.check(facts(events=[two, one, *others])))
    assert found == "events of run 7 were published first in the order [11, 10, 12, 13]"


@pytest.mark.parametrize("fields", [{"subject": "8"}, {"key": "run.started"}])
def test_an_event_has_the_address_of_another(fields: dict[str, str]) -> None:
    events = facts().events
    key = fields.pop("key", events[1].routing_key)
    made = event(11, "run.finished", events[1].event["data"], **fields)
    events[1] = Heard(made.body, key, made.message_id)
    texts = [violation.text for violation in told.check(facts(events=events)).violations]
    assert any("event 11 (ci.run.finished.v1, run 7) has the subject" in text for text in texts)
