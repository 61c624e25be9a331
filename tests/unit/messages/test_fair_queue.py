"""In which order deliveries of several queues are begun."""

from worker.intake.fair_queue import FairQueue

MANY = 1_000_000
"""Bytes."""


def _arrived(**queues: int) -> FairQueue[str]:
    arrivals: FairQueue[str] = FairQueue(len)
    for queue, number in queues.items():
        for each in range(number):
            arrivals.add(queue, f"{queue}{each}")
    return arrivals


def test_one_of_each_queue_is_taken_in_turn() -> None:
    assert _arrived(a=4, b=2).take(5, MANY) == ["a0", "b0", "a1", "b1", "a2"]


def test_a_single_one_is_taken_though_thousands_came_before() -> None:
    assert "b0" in _arrived(a=1000, b=1).take(500, MANY)


def test_all_of_a_queue_is_taken_where_no_other_has_any() -> None:
    assert len(_arrived(a=1000).take(500, MANY)) == 500


def test_what_is_left_is_taken_next_and_nothing_twice() -> None:
    arrivals = _arrived(a=3, b=2)

    taken = [*arrivals.take(2, MANY), *arrivals.take(2, MANY), *arrivals.take(2, MANY)]

    assert sorted(taken) == ["a0", "a1", "a2", "b0", "b1"]
    assert (len(arrivals), arrivals.take(2, MANY)) == (0, [])


def test_large_ones_are_taken_a_few_at_a_time_and_never_none() -> None:
    arrivals: FairQueue[str] = FairQueue(len)
    for each in ("x" * 60, "y" * 60, "z" * 500, "a"):
        arrivals.add("q", each)

    taken = [arrivals.take(10, 120) for _ in range(3)]

    assert [list(map(len, some)) for some in taken] == [[60, 60], [500], [1]]
