"""Whether a gateway has an event, for a client that had it from another gateway."""

import asyncio
from time import monotonic

import pytest
from prometheus_client import CollectorRegistry

from gateway.events.feed import EventFeed
from gateway.monitoring.metrics import StreamMetrics

LONG = 60.0


@pytest.fixture
def feed() -> EventFeed:
    return EventFeed(10, StreamMetrics(CollectorRegistry()))


def receive(feed: EventFeed, event_id: str) -> None:
    feed.receive(b'{"id": "%b", "type": "t", "subject": "1"}' % event_id.encode(), None)


async def waiting(feed: EventFeed, *event_ids: str) -> list[asyncio.Task[None]]:
    """Tasks that have begun to wait for these events."""
    tasks = [asyncio.create_task(feed.wait_for(event_id, LONG)) for event_id in event_ids]
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    return tasks


async def test_an_event_that_is_here_or_was_the_beginning_is_not_waited_for(
    feed: EventFeed,
) -> None:
    began = monotonic()
    await feed.wait_for(feed.latest_id, LONG)
    receive(feed, "e1")
    await feed.wait_for("e1", LONG)

    assert monotonic() - began < LONG / 2


async def test_all_that_wait_for_an_event_go_on_when_it_comes_and_no_others(
    feed: EventFeed,
) -> None:
    first, second, other = await waiting(feed, "e1", "e1", "e2")

    receive(feed, "e1")

    async with asyncio.timeout(LONG / 2):
        await asyncio.gather(first, second)
    assert not other.done()
    other.cancel()


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
