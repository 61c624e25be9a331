"""In which order deliveries of several queues are begun."""

from worker.arrivals import Arrivals


def _arrived(**queues: int) -> Arrivals[str]:
    arrivals: Arrivals[str] = Arrivals()
    for queue, number in queues.items():
        for each in range(number):
            arrivals.add(queue, f"{queue}{each}")
    return arrivals


def test_one_of_each_queue_is_taken_in_turn() -> None:
    assert _arrived(a=4, b=2).take(5) == ["a0", "b0", "a1", "b1", "a2"]


def test_a_single_one_is_taken_though_thousands_came_before() -> None:
    assert "b0" in _arrived(a=1000, b=1).take(500)


def test_all_of_a_queue_is_taken_where_no_other_has_any() -> None:
    assert len(_arrived(a=1000).take(500)) == 500


def test_what_is_left_is_taken_next_and_nothing_twice() -> None:
    arrivals = _arrived(a=3, b=2)

    taken = [*arrivals.take(2), *arrivals.take(2), *arrivals.take(2)]

    assert sorted(taken) == ["a0", "a1", "a2", "b0", "b1"]
    assert (len(arrivals), arrivals.take(2)) == (0, [])
