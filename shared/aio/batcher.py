"""Batcher: combines single requests of many callers into one call."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from shared.aio.deadlines import Deadlines
from shared.errors import ServiceUnavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_MAX_BATCH = 500


class Batcher(Generic[Item, Answer]):
    """Runs one batch after another. Items submitted during a batch are in the next one.

    No caller waits for a batch to fill, and under load each item costs less.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        tasks: asyncio.TaskGroup,
        timeout: float | None = None,
    ) -> None:
        """`work` is called with up to 500 items and returns one answer for each, in order.

        After an unexpected error it is called again, for each item alone: it must be safe to
        repeat. After ServiceUnavailable, it is not called again. `tasks` runs the batches.
        `timeout`: seconds from the submission of an item to its answer; None is no limit.
        """
        self._work = work
        self._tasks = tasks
        self._timeout = timeout
        self._deadlines = Deadlines()
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._is_working = False

    async def submit(self, item: Item) -> Answer:
        """The answer for `item`. Raises what `work` raises, and TimeoutError."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((item, answer))
        if not self._is_working:
            self._is_working = True
            self._tasks.create_task(self._work_off())
        if self._timeout is not None:
            self._deadlines.end(answer, loop.time() + self._timeout)
        return await answer

    async def _work_off(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[:_MAX_BATCH]
                del self._waiting[:_MAX_BATCH]
                # Some callers may have given up.
                if wanted := [each for each in batch if not each[1].done()]:
                    await self._answer(wanted)
        finally:
            self._is_working = False

    async def _answer(self, batch: Sequence[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._work([item for item, _ in batch])
        except ServiceUnavailable as error:
            _fail(batch, error)
        except Exception as error:
            if len(batch) == 1:
                _fail(batch, error)
            else:  # a single item may be the cause; the others must not fail with it
                for each in batch:
                    await self._answer([each])
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)


def _fail(batch: Sequence[tuple[Item, asyncio.Future[Answer]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
