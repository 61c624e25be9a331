"""Short and long times on one scale."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.console.runs.scale import WIDTH, Scale

BEGAN = datetime(2026, 11, 2, tzinfo=UTC)


def _scale(*seconds: float, least: float = 0.0) -> tuple[Scale, list[float]]:
    times = [BEGAN, *(BEGAN + timedelta(seconds=each) for each in seconds)]
    scale = Scale(times, least)
    return scale, [scale.at(time) for time in times]


def test_times_of_similar_length_are_in_proportion() -> None:
    scale, places = _scale(2, 6, 10)

    assert places == pytest.approx([0, 20, 60, 100])
    assert scale.at(BEGAN + timedelta(seconds=4)) == pytest.approx(40)
    assert not scale.breaks


def test_a_stop_of_milliseconds_can_be_read_beside_days_in_the_queue() -> None:
    three_days = 3 * 86_400.0
    scale, places = _scale(three_days, three_days + 120, three_days + 120.04)

    assert min(after - at for at, after in pairwise(places)) > 20
    assert [each.lasted.total_seconds() for each in scale.breaks] == [three_days, 120]


def test_a_short_time_is_wide_enough_to_be_seen() -> None:
    _, places = _scale(1, 15, 15.01, least=4)

    assert places[3] - places[2] > 3.5


def test_what_is_outside_is_at_the_ends() -> None:
    scale, _ = _scale(1)

    assert scale.at(BEGAN - timedelta(days=1)) == 0
    assert scale.at(BEGAN + timedelta(days=1)) == WIDTH


def test_one_moment_alone_has_a_place() -> None:
    scale, places = _scale()

    assert places == [0]
    assert scale.at(BEGAN + timedelta(seconds=1)) == 0


@given(st.lists(st.integers(0, 10**9), max_size=12), st.sampled_from([0.0, 4.0]))
def test_order_is_kept_and_all_of_the_width_is_used(seconds: list[int], least: float) -> None:
    _, places = _scale(*seconds, least=least)

    assert sorted(places) == [place for _, place in sorted(zip([0, *seconds], places, strict=True))]
    assert min(places) == 0
    assert max(places) == pytest.approx(WIDTH if any(seconds) else 0)
