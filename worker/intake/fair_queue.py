"""Deliveries that wait to be started, served in turn."""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """One line per queue, so that a flood in one queue does not delay the others."""

    def __init__(self, size_of: Callable[[T], int]) -> None:
        """`size_of` tells the bytes of one delivery; it is called whenever one may be taken."""
        self._lines: dict[str, deque[T]] = {}
        self._size_of = size_of

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def add(self, queue: str, arrived: T) -> None:
        self._lines.setdefault(queue, deque()).append(arrived)

    def take(self, most: int, most_bytes: int) -> list[T]:
        """Take items from the queues in turn, in order within each queue.

        At least one, if there is any; at most `most`, with at most `most_bytes` in total.
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
