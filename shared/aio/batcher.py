"""Doing for many at once what each of them asks for by itself."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from shared.aio.deadlines import Deadlines
from shared.errors import ServiceUnavailable

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

_MOST = 500


class Together(Generic[Asked, Answer]):
    """One batch after the other: who asks while one is under way is in the next.

    So nobody waits for a batch to fill, and the more is asked for, the less each costs. `work` has
    one answer for each, in order. With `patience`, nobody waits for more seconds than that.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer]]],
        tasks: asyncio.TaskGroup,
        patience: float | None = None,
    ) -> None:
        self._work = work
        self._tasks = tasks
        self._patience = patience
        self._deadlines = Deadlines()
        self._waiting: list[tuple[Asked, asyncio.Future[Answer]]] = []
        self._is_working = False

    async def ask(self, asked: Asked) -> Answer:
        """The answer to `asked`. Raises what `work` raises, and TimeoutError."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((asked, answer))
        if not self._is_working:
            self._is_working = True
            self._tasks.create_task(self._work_off())
        if self._patience is not None:
            self._deadlines.end(answer, loop.time() + self._patience)
        return await answer

    async def _work_off(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[:_MOST]
                del self._waiting[:_MOST]
                # Some may have given up.
                if asking := [each for each in batch if not each[1].done()]:
                    await self._answer(asking)
        finally:
            self._is_working = False

    async def _answer(self, batch: Sequence[tuple[Asked, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._work([asked for asked, _ in batch])
        except ServiceUnavailable as error:
            _fail(batch, error)
        except Exception as error:
            if len(batch) == 1:
                _fail(batch, error)
            else:  # one of them may be the reason, and the others must not suffer for it
                for each in batch:
                    await self._answer([each])
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)


def _fail(batch: Sequence[tuple[Asked, asyncio.Future[Answer]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
