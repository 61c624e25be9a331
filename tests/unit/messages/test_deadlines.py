"""Many waits, each with an end of its own."""

import asyncio
from collections.abc import Callable
from functools import partial
from weakref import ref

import pytest
import uvloop

from shared.aio.deadlines import Deadlines
from tools.support.program import DEADLINE

LONG = 2 * DEADLINE
EARLY = 0.002  # seconds; the loop's clock counts milliseconds


async def test_each_ends_at_its_own_time_in_whatever_order_they_came() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines()
    took: dict[float, float] = {}
    began = loop.time()

    def ended(after: float, _: object) -> None:
        took[after] = loop.time() - began

    waits = {after: loop.create_future() for after in (LONG, 0.06, 0.02, 0.04)}
    for after, future in waits.items():
        future.add_done_callback(partial(ended, after))
        deadlines.end(future, began + after)

    async with asyncio.timeout(DEADLINE):
        with pytest.raises(TimeoutError):
            await waits[0.06]
    assert list(took) == [0.02, 0.04, 0.06]
    assert all(took[after] > after - EARLY for after in took)


async def test_what_is_done_stays_as_it_is() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines()
    answered, given_up, late = (loop.create_future() for _ in range(3))
    for future in (answered, given_up, late):
        deadlines.end(future, loop.time() + 0.02)
    answered.set_result("here")
    given_up.cancel()

    async with asyncio.timeout(DEADLINE):
        with pytest.raises(TimeoutError):
            await late
    assert answered.result() == "here"
    assert given_up.cancelled()


async def test_nothing_is_kept_of_waits_that_ended() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines()
    seen = []
    for _ in range(1000):
        future = loop.create_future()
        seen.append(ref(future))
        deadlines.end(future, loop.time() + LONG)
        future.set_result(None)

    del future
    assert sum(each() is not None for each in seen) <= 1


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_after_one_that_is_due_at_once_others_may_follow(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """The handle of uvloop for such a time does not know when it is."""

    async def wait() -> list[type]:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines()
        futures = [loop.create_future() for _ in range(3)]
        for number, future in enumerate(futures):
            deadlines.end(future, loop.time() + 0.01 * number)
        async with asyncio.timeout(DEADLINE):
            ended = await asyncio.gather(*futures, return_exceptions=True)
        return [type(each) for each in ended]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(wait()) == [TimeoutError] * 3
