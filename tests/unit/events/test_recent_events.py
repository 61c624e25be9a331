"""What a gateway still has of the events, and when it says that it has not."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from gateway.events import recent_events
from gateway.events.event import Event, Selection
from gateway.events.recent_events import RecentEvents

ALL = Selection()


class Clock(datetime):
    at = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return cls.at


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    monkeypatch.setattr(Clock, "at", datetime(2026, 11, 2, 9, 30, tzinfo=UTC))
    monkeypatch.setattr(recent_events, "datetime", Clock)
    return Clock


def event(number: int, run_id: int = 1, size: int = 10) -> Event:
    return Event(f"e{number}", "ci.run.finished.v1", run_id, f"{number}".encode().ljust(size))


def told(messages: Sequence[bytes]) -> list[object]:
    """The numbers of events, and of a gap the time since which nothing is missing."""
    return [
        datetime.fromisoformat(json.loads(it.split(b"data: ")[1])["complete_since"])
        if it.startswith(b"event: gap")
        else int(it)
        for it in messages
    ]


def after(clock: type[Clock], seconds: float) -> datetime:
    clock.at += timedelta(seconds=seconds)
    return clock.at


def test_a_known_id_gets_what_came_after_it_and_some_seconds_before(clock: type[Clock]) -> None:
    recent = RecentEvents(100, 10_000)
    for number, pause in enumerate((0, 10, 4, 4, 1)):
        after(clock, pause)
        recent.add(event(number))

    assert told(recent.since("e3", ALL)) == [2, 3, 4]
    assert told(recent.since("e0", ALL)) == [0, 1, 2, 3, 4]


def test_the_number_is_bounded_and_what_was_before_is_a_gap(clock: type[Clock]) -> None:
    recent = RecentEvents(3, 10_000)
    times = []
    for number in range(5):
        times.append(after(clock, 1))
        recent.add(event(number))

    assert told(recent.since("e1", ALL)) == [times[1], 2, 3, 4]
    assert told(recent.since("e2", ALL)) == [2, 3, 4]


def test_the_bytes_are_bounded_too(clock: type[Clock]) -> None:
    recent = RecentEvents(100, 1000)
    for number in range(5):
        recent.add(event(number, size=400))

    assert told(recent.since("e4", ALL)) == [3, 4]


def test_an_event_larger_than_the_bound_is_not_kept_and_does_no_harm(clock: type[Clock]) -> None:
    recent = RecentEvents(100, 1000)
    recent.add(event(1))
    at = after(clock, 1)
    recent.add(event(2, size=2000))

    assert told(recent.since("e2", ALL)) == [at]


def test_a_selection_holds_for_what_is_sent_again_and_a_gap_is_for_all(clock: type[Clock]) -> None:
    recent = RecentEvents(100, 10_000)
    recent.add(event(1, run_id=1))
    recent.add(event(2, run_id=2))
    at = after(clock, 1)
    recent.add_gap()
    recent.add(event(3, run_id=2))
    recent.add(event(4, run_id=1))

    assert told(recent.since("e1", Selection(run_id=1))) == [1, at, 4]
    assert told(recent.since("e1", Selection(types=frozenset({"other"})))) == [at]


def test_a_stream_that_began_before_the_first_event_goes_on_without_a_gap(
    clock: type[Clock],
) -> None:
    recent = RecentEvents(2, 10_000)
    start = recent.latest_id
    recent.add(event(1))
    assert told(recent.since(start, ALL)) == [1]

    after(clock, 1)
    recent.add(event(2))
    recent.add(event(3))
    assert told(recent.since(start, ALL)) == [Clock.at - timedelta(seconds=1), 2, 3]


def test_a_stream_that_began_before_the_subscription_has_a_gap(clock: type[Clock]) -> None:
    recent = RecentEvents(10, 10_000)
    start = recent.latest_id
    at = after(clock, 1)
    recent.add_gap()
    recent.add(event(1))

    assert told(recent.since(start, ALL)) == [at, 1]
    assert told(recent.since("e1", ALL)) == [1]


def test_a_repeat_is_left_out_while_the_event_is_kept() -> None:
    recent = RecentEvents(2, 10_000)

    assert recent.add(event(1))
    assert not recent.add(event(1))
    recent.add(event(2))
    recent.add(event(3))
    assert recent.add(event(1))
