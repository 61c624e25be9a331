"""The queue of a stream is bounded, and only what was selected goes into it."""

import pytest

from gateway.events.event import Event, Selection
from gateway.events.readers import End, Reader, Readers


def event(run_id: int = 1, kind: str = "a", message: bytes = b"x") -> Event:
    return Event("e", kind, run_id, message)


class Drops:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def reader(selection: Selection = Selection(), *backlog: bytes) -> tuple[Reader, Drops]:  # noqa: B008 - it is frozen
    drops = Drops()
    return Reader(selection, backlog, drops), drops


@pytest.mark.parametrize(("size", "most"), [(1, 4000), (500_000, 8)])
async def test_a_queue_that_is_full_ends_its_stream_once(size: int, most: int) -> None:
    full, drops = reader()
    for _ in range(most):
        full.put(b"x" * size)
    assert (full.end, drops.count) == (None, 0)

    full.put(b"x" * size)
    full.put(b"x" * size)

    assert (full.end, drops.count) == (End.DROPPED, 1)
    assert full.take() == b""


async def test_what_was_taken_makes_room_again() -> None:
    steady, drops = reader()
    for _ in range(5000):
        steady.put(b"x")
        if not steady.take():
            raise AssertionError

    assert drops.count == 0


async def test_the_backlog_comes_first_and_does_not_count() -> None:
    behind, drops = reader(Selection(), *([b"b"] * 5000))
    for _ in range(1000):
        behind.put(b"q")

    sent = b""
    while part := behind.take():
        sent += part
    assert sent == b"b" * 5000 + b"q" * 1000
    assert drops.count == 0


async def test_a_message_that_is_taken_alone_is_not_copied() -> None:
    alone, _ = reader()
    message = b"x" * 100
    alone.put(message)

    assert alone.take() is message


async def test_little_is_sent_at_a_time() -> None:
    behind, _ = reader(Selection(), *([b"x" * 60_000] * 4))

    assert len(behind.take()) == 120_000


async def test_waiting_ends_with_a_message_with_the_end_and_with_the_time() -> None:
    waiting, _ = reader()
    assert not await waiting.wait(0.01)
    waiting.put(b"x")
    assert await waiting.wait(10)
    waiting.take()
    assert not await waiting.wait(0.01)
    waiting.finish(End.GATEWAY_STOPS)
    assert await waiting.wait(10)
    waiting.finish(End.CLIENT_LEFT)
    assert waiting.end is End.GATEWAY_STOPS


async def test_each_reader_gets_what_it_selected() -> None:
    readers = Readers()
    selections = {
        "all": Selection(),
        "run": Selection(run_id=1),
        "type": Selection(types=frozenset({"b", "c"})),
        "both": Selection(2, frozenset({"b"})),
    }
    by_name = {name: reader(selection)[0] for name, selection in selections.items()}
    for each in by_name.values():
        readers.add(each)

    readers.send(event(1, "a", b"1a"))
    readers.send(event(2, "b", b"2b"))
    readers.send(event(2, "a", b"2a"))
    readers.send_all(b"!")

    assert {name: each.take() for name, each in by_name.items()} == {
        "all": b"1a2b2a!",
        "run": b"1a!",
        "type": b"2b!",
        "both": b"2b!",
    }
    assert len(readers) == 4
    for each in by_name.values():
        readers.remove(each)
    assert len(readers) == 0
