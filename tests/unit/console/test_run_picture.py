"""The life of a run in a picture: each state has its place, whatever is on record."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.states import Outcome, RunStatus
from tests.support.records.run_histories import BEGAN, COMMANDS, RUNS
from worker.console.runs.picture import life_of, stop_of
from worker.runs.timeline import Kind, moments

NOW = datetime(2026, 11, 30, tzinfo=UTC)
_NONE = ("started_at", "canceling_at", "finished_at", "stop_deadline", "first_stop_deadline")


def _run(name: str, **fields: Any) -> dict[str, Any]:
    missing = {"loss", "left_behind", "unreported_since", "exit_code", "host", "pid", "uid", *_NONE}
    of_command = {"requested_by": None, "publisher": None, "reason": None, "grace_seconds": None}
    return {
        **dict.fromkeys(missing),
        "expired": False,
        **RUNS[name],
        "cancellations": [{**of_command, **each} for each in COMMANDS.get(name, ())],
        "dead_letters": [],
        **fields,
    }


def test_states_follow_each_other_in_proportion() -> None:
    run = _run("passed")
    life = life_of(run, moments(run), NOW, None)

    assert [(each.name, each.lasted) for each in life.segments] == [
        ("queued", "2 s"),
        ("running", "1 min 0 s"),
    ]
    queued, running = life.segments
    assert running.x == queued.x + queued.width
    assert life.summary == "queued for 2 s, then running for 1 min 0 s, then pass"


def test_clocks_that_were_set_back_leave_no_state_with_less_than_no_time() -> None:
    run = _run("passed", created_at=(BEGAN + timedelta(days=1)).isoformat())
    life = life_of(run, moments(run), NOW, None)

    assert all(each.width >= 0 for each in life.segments)


def test_a_failed_stop_is_shown_up_to_its_outcome() -> None:
    run = _run("stop failed")
    stop = stop_of(run, moments(run), NOW)

    assert stop is not None
    assert stop.rows[-1].moment.kind is Kind.OUTCOME
    assert Outcome.STOP_FAILED in stop.rows[-1].moment.what


def test_a_stop_under_way_reaches_to_its_deadline() -> None:
    run = _run("being stopped")
    now = BEGAN + timedelta(seconds=62)
    stop = stop_of(run, moments(run), now)

    assert stop is not None
    assert stop.grace is not None
    assert stop.grace.is_running
    assert 0 < stop.grace.used_width < stop.grace.width
    assert stop.end == BEGAN + timedelta(seconds=63.01)


def test_a_run_that_never_started_has_no_stop() -> None:
    run = _run("never started")
    assert run["status"] == RunStatus.CANCELED
    assert stop_of(run, moments(run), NOW) is None


def test_a_late_repeat_does_not_stretch_the_stop() -> None:
    run = _run("several")
    stop = stop_of(run, moments(run), NOW)

    assert stop is not None
    assert stop.end < BEGAN + timedelta(seconds=65)
