"""Whether a gateway has an event, for a client that had it from another gateway."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from gateway.events.event import Selection
from gateway.events.feed import EventFeed
from gateway.monitoring.metrics import StreamMetrics
from shared.aio.tasks import end
from shared.errors import ServiceUnavailable

LONG = 60.0
MOST = 3


@pytest.fixture
def feed() -> EventFeed:
    return EventFeed(MOST, StreamMetrics(CollectorRegistry()))


def receive(feed: EventFeed, event_id: str) -> None:
    feed.receive(b'{"id": "%b", "type": "t", "subject": "1"}' % event_id.encode(), None)


async def waiting(feed: EventFeed, *event_ids: str) -> list[asyncio.Task[None]]:
    """Tasks that have begun to wait for these events."""
    tasks = [asyncio.create_task(feed.wait_for(event_id, LONG)) for event_id in event_ids]
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    return tasks


async def test_what_is_here_or_cannot_come_is_not_waited_for(feed: EventFeed) -> None:
    other = EventFeed(MOST, StreamMetrics(CollectorRegistry()))
    receive(feed, "e1")

    async with asyncio.timeout(LONG / 2):
        await feed.wait_for("e1", LONG)
        await feed.wait_for(other.latest_id, LONG)  # it had no event yet


async def test_all_that_wait_for_an_event_go_on_when_it_comes_and_no_others(
    feed: EventFeed,
) -> None:
    first, second, other = await waiting(feed, "e1", "e1", "e2")

    receive(feed, "e1")

    async with asyncio.timeout(LONG / 2):
        await asyncio.gather(first, second)
    assert not other.done()
    await end(other)


async def test_one_that_does_not_come_is_given_up(feed: EventFeed) -> None:
    await feed.wait_for("e1", 0.01)


@pytest.mark.parametrize("before", [True, False])
async def test_a_gateway_that_stops_lets_nobody_wait(feed: EventFeed, before: bool) -> None:
    if before:
        feed.close()
        async with asyncio.timeout(LONG / 2):
            await feed.wait_for("e1", LONG)
    else:
        tasks = await waiting(feed, "e1", "e2")
        feed.close()
        async with asyncio.timeout(LONG / 2):
            await asyncio.gather(*tasks)


async def test_streams_that_wait_count_like_those_that_are_open(feed: EventFeed) -> None:
    with feed.reading(Selection(), None, lambda: None):
        first, second = await waiting(feed, "e1", "e2")
        with pytest.raises(ServiceUnavailable):
            await feed.wait_for("e3", LONG)
        with pytest.raises(ServiceUnavailable), feed.reading(Selection(), None, lambda: None):
            pass

        receive(feed, "e1")
        await first
        with feed.reading(Selection(), "e1", lambda: None):
            pass
        await end(second)
