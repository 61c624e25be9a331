"""Deliveries that wait to be begun, taken in fair turns."""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """A line for each queue, so that a flood in one does not stand before another."""

    def __init__(self, size_of: Callable[[T], int]) -> None:
        """`size_of` tells the bytes of one delivery; it is called whenever one may be taken."""
        self._lines: dict[str, deque[T]] = {}
        self._size_of = size_of

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def add(self, queue: str, arrived: T) -> None:
        self._lines.setdefault(queue, deque()).append(arrived)

    def take(self, most: int, most_bytes: int) -> list[T]:
        """Take one of each queue in turn, each queue's in their order.

        At least one, if there is any; up to `most`, and of up to `most_bytes` together.
        """
        taken: list[T] = []
        size = 0
        while lines := [line for line in self._lines.values() if line]:
            for line in lines:
                size += self._size_of(line[0])
                if taken and (len(taken) == most or size > most_bytes):
                    return taken
                taken.append(line.popleft())
        return taken

    def clear(self) -> None:
        self._lines.clear()
