"""What a worker remembers is bounded."""

from worker.memory.recent import Recent, batches


def test_the_oldest_go_when_there_are_too_many() -> None:
    recent: Recent[int, str] = Recent(most=2)
    for key in range(3):
        recent.add(key, str(key))
    assert recent.items() == [(1, "1"), (2, "2")]


def test_the_oldest_go_when_they_are_too_large() -> None:
    recent: Recent[int, str] = Recent(most_bytes=100)
    recent.add(1, "a", 60)
    recent.add(2, "b", 40)
    assert len(recent) == 2
    recent.add(3, "c", 1)
    assert recent.values() == ["b", "c"]
    recent.add(4, "d", 1000)
    assert not len(recent)
    recent.add(5, "e", 100)
    assert recent.values() == ["e"]


def test_what_is_too_old_is_not_returned() -> None:
    recent: Recent[int, str] = Recent(seconds=-1)
    recent.add(1, "a")
    assert recent.get(1) is None
    assert 1 not in recent
    assert recent.items() == []


def test_a_key_has_its_latest_value_and_counts_once() -> None:
    recent: Recent[int, str] = Recent(most_bytes=100)
    for value in "abc":
        recent.add(1, value, 60)
    recent.add(2, "d", 40)
    assert recent.items() == [(1, "c"), (2, "d")]
    recent.forget(1)
    recent.forget(7)
    recent.add(3, "e", 60)
    assert recent.values() == ["d", "e"]


def test_batches_have_at_most_so_many() -> None:
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batches([], 2)) == []
