"""The checker of events: it finds each way in which events can be wrong. Facts are written down."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tools.chaos.checks import Checked, registered
from tools.chaos.checks.events import told
from tools.chaos.driver.journal import Entry
from tools.chaos.observed.event_queue import Heard
from tools.chaos.observed.facts import Facts, Row

AT = datetime(2026, 1, 2, tzinfo=UTC)
COMMAND = "6f0c9b0e-0000-4000-8000-000000000001"


def run(status: str, **fields: object) -> Row:
    is_over = status in ("pass", "fail", "canceled", "error")
    return {
        "run_id": 7,
        "status": status,
        "host": None if status in ("queued", "canceled") else "h1",
        "labels": {"branch": "main"},
        "url": None,
        "grace_seconds": 1.0,
        "stop_signal": "SIGTERM",
        "stop_scope": "tree",
        "start_before": None,
        "stop_deadline": None,
        "exit_code": None,
        "error": None,
        "loss": None,
        "expired": False,
        "proof": "never_started" if status == "canceled" else None,
        "finished_at": AT.isoformat() if is_over else None,
        **fields,
    }


def command(outcome: str | None) -> Row:
    return {
        "command_id": COMMAND,
        "run_id": 7,
        "outcome": outcome,
        "requested_by": "me",
        "reason": None,
        "via": "direct",
        "publisher": "guest",
        "force": False,
        "received_at": AT.isoformat(),
        "evidence": {"ended": "never_started", "proof": "never_started", "duration_ms": 0},
    }


LETTER: Row = {
    "letter_id": 3,
    "run_id": 7,
    "command_id": COMMAND,
    "reason": "stop_failed",
    "error": "pid 4 is alive",
    "requested_by": "me",
    "via": "direct",
    "publisher": "guest",
    "type": "ci.run.cancel.v1",
}


def change(place: int, transaction: int, before: Row | None, after: Row) -> Row:
    return {
        "place": place,
        "transaction": transaction,
        "at": AT,
        "before": before,
        "after": after,
        "run_id": after["run_id"],
        "command_id": after.get("command_id"),
    }


def event(number: int, kind: str, data: Row, **fields: object) -> Heard:
    body = {
        "id": str(number),
        "sequence": f"{number:020}",
        "type": f"ci.{kind}.v1",
        "subject": "7",
        "data": data,
        **fields,
    }
    return Heard(json.dumps(body).encode(), kind, str(number))


def facts(**fields: Any) -> Facts:
    """A queued run that a command canceled in one transaction, and a letter."""
    finished = {**run("canceled"), "ended": "never_started"}
    settled = {**command("canceled"), **command("canceled")["evidence"]}
    right = Facts(
        journal_path=Path(),
        jobs=Path("/nonexistent"),
        journal=[],
        runs={7: run("canceled")},
        cancellations=[],
        letters=[],
        run_transitions=[
            change(1, 100, None, run("queued")),
            change(3, 101, run("queued"), run("canceled")),
        ],
        command_changes=[change(2, 101, None, command("canceled"))],
        letter_changes=[change(4, 102, None, LETTER)],
        events=[
            event(10, "run.registered", run("queued")),
            event(11, "run.finished", finished),
            event(12, "cancel.settled", settled),
            event(13, "cancel.rejected", LETTER),
        ],
        queues={},
        processes=[],
        logs=[],
    )
    return replace(right, **fields)


def only(checked: Checked) -> str:
    (violation,) = checked.violations
    return violation.text


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
    evidence = canceled["evidence"]
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


def late_run(**fields: object) -> Facts:
    """A run that expired, told as such."""
    on_record = {
        **run("canceled"),
        "expired": True,
        "start_before": AT,
        "created_at": AT,
        "started_at": None,
        "finished_at": AT,
        **fields,
    }
    entry: Entry = {
        "kind": "run",
        "at": 0.0,
        "run_id": 7,
        "labels": {"branch": "main"},
        "start_before": AT.isoformat(),
    }
    said = event(11, "run.finished", {**run("canceled"), "ended": "expired"})
    return facts(runs={7: on_record}, journal=[entry], events=[said])


def test_a_run_that_expired_is_no_violation() -> None:
    assert not registered.check(late_run()).violations


def test_an_expired_run_was_started() -> None:
    assert only(registered.check(late_run(host="h1"))) == "run 7 expired and was started"


def test_a_run_expired_early() -> None:
    early = AT.replace(year=2025)
    assert "run 7 expired before" in only(registered.check(late_run(finished_at=early)))


@pytest.mark.parametrize("numbers", [(), (11, 12)])
def test_an_expired_run_has_not_exactly_one_end(numbers: tuple[int, ...]) -> None:
    data = {**run("canceled"), "ended": "expired"}
    events = [event(number, "run.finished", data) for number in numbers]
    found = only(registered.check(replace(late_run(), events=events)))
    assert found.startswith("run 7 expired, its events run.finished say")


def test_a_run_is_on_record_with_other_labels() -> None:
    assert "is on record as ({}," in only(registered.check(late_run(labels={})))


def test_a_registration_had_a_result_that_cannot_be() -> None:
    entry: Entry = {
        "kind": "registered",
        "at": 0.0,
        "run_id": 7,
        "how": "again",
        "result": "created",
        "allowed": ["exists"],
    }
    found = only(registered.check(facts(journal=[entry])))
    assert found == "registering run 7 again resulted in created"


@pytest.mark.parametrize(
    ("status", "started_at", "found"),
    [
        ("queued", None, "run 7 did not expire"),
        ("pass", AT.replace(hour=1), "run 7 was started after"),
    ],
)
def test_a_late_run_is_left_alone(status: str, started_at: datetime | None, found: str) -> None:
    late = late_run(status=status, expired=False, started_at=started_at)
    assert found in only(registered.check(late))
