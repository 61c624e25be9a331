"""The checker of runs that expire finds each way in which that can go wrong."""

from dataclasses import replace
from datetime import datetime

import pytest

from tests.support.chaos.facts import AT, event, facts, only, run
from tools.chaos.checks import expired
from tools.chaos.driver.journal import Entry
from tools.chaos.observed.facts import Facts

SETTLED: Entry = {"kind": "settled", "at": AT.timestamp() + 60, "left": []}


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
    said = event(11, "run.finished", {**run("canceled"), "ended": "expired"})
    return facts(runs={7: on_record}, journal=[SETTLED], events=[said])


def test_a_run_that_expired_is_no_violation() -> None:
    checked = expired.check(late_run())
    assert (checked.violations, checked.count > 0) == ([], True)


def test_a_run_that_need_not_start_yet_may_be_queued() -> None:
    later = AT.replace(day=3)
    waiting = late_run(status="queued", expired=False, start_before=later)
    assert not expired.check(waiting).violations


def test_an_expired_run_was_started() -> None:
    assert only(expired.check(late_run(host="h1"))) == "run 7 expired and was started"


def test_an_expired_run_is_not_canceled() -> None:
    assert only(expired.check(late_run(status="error"))) == "run 7 expired and is error"


def test_a_run_expired_early() -> None:
    early = AT.replace(year=2025)
    assert "run 7 expired before" in only(expired.check(late_run(finished_at=early)))


@pytest.mark.parametrize("numbers", [(), (11, 12)])
def test_an_expired_run_has_not_exactly_one_end(numbers: tuple[int, ...]) -> None:
    data = {**run("canceled"), "ended": "expired"}
    events = [event(number, "run.finished", data) for number in numbers]
    found = only(expired.check(replace(late_run(), events=events)))
    assert found.startswith("run 7 expired, its events run.finished say")


@pytest.mark.parametrize(
    ("status", "started_at", "found"),
    [
        ("queued", None, "run 7 did not expire"),
        ("pass", AT.replace(hour=1), "run 7 was started after"),
    ],
)
def test_a_late_run_is_left_alone(status: str, started_at: datetime | None, found: str) -> None:
    late = late_run(status=status, expired=False, started_at=started_at)
    assert found in only(expired.check(late))
