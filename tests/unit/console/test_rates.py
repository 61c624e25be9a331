"""Plots of the last minutes, and their text."""

from datetime import UTC, datetime, timedelta

from worker.console.now.rates import HEIGHT, WIDTH, Rate, rates

NOW = datetime(2026, 11, 30, 12, 7, 31, 500, tzinfo=UTC)
MINUTE = datetime(2026, 11, 30, 12, 7, tzinfo=UTC)


def _row(kind: str, ago: int, number: int, rate: str = "cancels") -> dict[str, object]:
    at = MINUTE - timedelta(minutes=ago)
    return {"rate": rate, "kind": kind, "minute": at, "number": number}


def _cancels(*rows: dict[str, object]) -> Rate:
    return rates(rows, NOW)[0]


def test_each_minute_has_its_number_and_the_last_one_is_this_one() -> None:
    found = _cancels(_row("canceled", 14, 2), _row("open", 0, 3), _row("canceled", 0, 4))

    assert found.minutes[0] == MINUTE - timedelta(minutes=14)
    assert found.minutes[-1] == MINUTE
    assert found.per_minute == [2, *[0] * 13, 7]
    assert (found.total, found.most) == (9, 7)
    assert {kind: sum(each) for kind, each in found.numbers.items()} == {
        "canceled": 6,
        "other": 0,
        "open": 3,
    }


def test_the_text_of_a_plot_has_its_figures() -> None:
    found = _cancels(_row("other", 1, 5))

    assert found.text == (
        "Cancels received per minute from 11:53 UTC on: 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0"
    )


def test_bars_of_a_minute_stand_on_one_another_and_the_largest_fills_the_plot() -> None:
    found = _cancels(_row("canceled", 3, 6), _row("open", 3, 2), _row("other", 0, 1))

    lower, upper, last = found.bars
    assert (lower.kind, upper.kind, last.kind) == ("canceled", "open", "other")
    assert lower.y + lower.height == HEIGHT
    assert upper.y + upper.height == lower.y
    assert upper.y == 0
    assert lower.x == upper.x < last.x < WIDTH
    assert last.height == HEIGHT / 8
    assert upper.title == "12:04: 2 open"


def test_nothing_is_a_plot_without_bars() -> None:
    for found in rates([], NOW):
        assert found.bars == []
        assert (found.total, found.most, found.is_cut) == (0, 0, False)


def test_each_rate_is_counted_by_itself() -> None:
    cancels, ended, letters = rates([_row("", 0, 9, "letters"), _row("other", 2, 1, "ended")], NOW)

    assert (cancels.total, ended.total, letters.total) == (0, 1, 9)
