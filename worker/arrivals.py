"""Deliveries that wait to be begun, taken in fair turns."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


class Arrivals(Generic[T]):
    """A line for each queue, so that a flood in one does not stand before another."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[T]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def add(self, queue: str, arrived: T) -> None:
        self._lines.setdefault(queue, deque()).append(arrived)

    def take(self, most: int) -> list[T]:
        """Take up to `most`, one of each queue in turn, each queue's in their order."""
        return list(islice(self._in_turns(), most))

    def clear(self) -> None:
        self._lines.clear()

    def _in_turns(self) -> Iterator[T]:
        while lines := [line for line in self._lines.values() if line]:
            for line in lines:
                yield line.popleft()
