"""Asked for by many, done for all at once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from shared.aio.batcher import Batcher
from shared.errors import ServiceUnavailable
from shared.lifecycle import Shutdown
from tools.support.program import DEADLINE


class Work:
    """Doubles numbers. Waits for `go`, and fails for 13 and for -1."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, asked: Sequence[int]) -> list[int]:
        self.batches.append(list(asked))
        self.begun.set()
        await self.go.wait()
        if -1 in asked:
            raise ServiceUnavailable("away")
        if 13 in asked:
            raise ValueError("13 is unlucky")
        return [2 * number for number in asked]


@asynccontextmanager
async def batcher(work: Work, timeout: float | None = None) -> AsyncIterator[Batcher[int, int]]:
    try:
        async with asyncio.TaskGroup() as tasks:
            yield Batcher(work, tasks, timeout)
            raise Shutdown
    except* Shutdown:
        pass


async def ask(asking: Batcher[int, int], numbers: Sequence[int]) -> list[int | BaseException]:
    tasks = [asyncio.create_task(asking.submit(number)) for number in numbers]
    return await asyncio.gather(*tasks, return_exceptions=True)


async def begun(work: Work) -> None:
    async with asyncio.timeout(DEADLINE):
        await work.begun.wait()


async def tasks_have_asked() -> None:
    # Those that were made before come first in the next turn of the loop.
    await asyncio.sleep(0)


async def test_who_asks_while_a_batch_is_under_way_is_in_the_next() -> None:
    work = Work()
    async with batcher(work) as asking:
        first = asyncio.create_task(asking.submit(1))
        await begun(work)
        others = asyncio.create_task(ask(asking, [2, 3, 4]))
        await tasks_have_asked()
        work.go.set()

        assert await first == 2
        assert await others == [4, 6, 8]
    assert work.batches == [[1], [2, 3, 4]]


async def test_one_that_fails_does_not_fail_the_others() -> None:
    work = Work()
    work.go.set()
    async with batcher(work) as asking:
        *good, bad = await ask(asking, [1, 2, 3, 13])

    assert good == [2, 4, 6]
    assert isinstance(bad, ValueError)


async def test_an_outage_fails_all_and_is_not_asked_about_one_by_one() -> None:
    work = Work()
    work.go.set()
    async with batcher(work) as asking:
        answers = await ask(asking, [1, -1, 3])

    assert all(isinstance(answer, ServiceUnavailable) for answer in answers)
    assert work.batches == [[1, -1, 3]]


async def test_who_gave_up_is_not_asked_for() -> None:
    work = Work()
    async with batcher(work) as asking:
        first = asyncio.create_task(asking.submit(1))
        await begun(work)
        second, third = asyncio.create_task(asking.submit(2)), asyncio.create_task(asking.submit(3))
        await tasks_have_asked()
        second.cancel()
        work.go.set()

        assert await first == 2
        assert await third == 6
    assert work.batches == [[1], [3]]


async def test_canceled_work_is_not_done() -> None:
    work = Work()
    async with batcher(work) as asking:
        first = asyncio.create_task(asking.submit(1))
        await begun(work)
        second = asyncio.create_task(asking.submit(2))
        await tasks_have_asked()
        second.cancel()
        work.go.set()

        assert await first == 2
        assert await asking.submit(3) == 6
    assert work.batches == [[1], [3]]


async def test_no_caller_waits_longer_than_the_timeout() -> None:
    async with batcher(Work(), timeout=0.01) as asking:
        with pytest.raises(TimeoutError):
            await asking.submit(1)
