"""Which frames acknowledge what is settled, and nothing that is not."""

from hypothesis import given
from hypothesis import strategies as st

from worker.intake.acks import Ack, Unacknowledged


def unacknowledged_tags(*tags: int) -> Unacknowledged:
    unacknowledged = Unacknowledged()
    for tag in tags:
        unacknowledged.add(tag)
    return unacknowledged


def test_all_that_is_unacknowledged_is_one_frame() -> None:
    assert list(unacknowledged_tags(1, 2, 3).settled([3, 1, 2])) == [Ack(3, multiple=True)]


def test_one_that_goes_on_keeps_those_behind_it_apart() -> None:
    assert list(unacknowledged_tags(1, 2, 3, 4, 5).settled([1, 2, 4, 5])) == [
        Ack(2, multiple=True),
        Ack(4, multiple=False),
        Ack(5, multiple=False),
    ]


def test_the_last_unacknowledged_one_says_nothing_of_others() -> None:
    unacknowledged = unacknowledged_tags(7)

    assert list(unacknowledged.settled([7])) == [Ack(7, multiple=False)]
    unacknowledged.add(8)
    assert list(unacknowledged.settled([8])) == [Ack(8, multiple=False)]


@given(st.data())
def test_the_broker_forgets_exactly_what_is_settled(data: st.DataObject) -> None:
    """A broker that keeps what it delivered, and takes frames as the specification has it."""
    unacknowledged, kept = Unacknowledged(), set[int]()
    settled, delivered = set[int](), 0
    for _ in range(data.draw(st.integers(1, 12))):
        for _ in range(data.draw(st.integers(0, 6))):
            delivered += 1
            unacknowledged.add(delivered)
            kept.add(delivered)
        done = data.draw(st.sets(st.sampled_from(sorted(kept)))) if kept else set()
        settled |= done

        for ack in unacknowledged.settled(done):
            assert ack.delivery_tag in kept
            kept -= {tag for tag in kept if ack.multiple and tag < ack.delivery_tag}
            kept.remove(ack.delivery_tag)

        assert kept == set(range(1, delivered + 1)) - settled
