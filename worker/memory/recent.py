"""A memory of the latest, bounded by number, by age and by size."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Final, Generic, TypeVar

MOST: Final = 5_000
"""A command takes about 2 KB, so 5,000 take 10 MB."""
SECONDS: Final = 3600.0
"""A standby that is further behind than this should not be promoted."""
MOST_BYTES: Final = 8 * 1024 * 1024

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The values that were added last, oldest first. Values that are too old are not returned.

    Every command is added to one, so adding has to be quick.
    """

    def __init__(
        self, most: int = MOST, seconds: float = SECONDS, most_bytes: int = MOST_BYTES
    ) -> None:
        """`most_bytes` limits the sum of the sizes that values are added with."""
        self._most = most
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._kept: OrderedDict[K, tuple[float, int, V]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, key: K, value: V, size: int = 0) -> None:
        """Add `value`, in place of an earlier one with the same key."""
        kept = self._kept
        if key in kept:
            self.forget(key)
        kept[key] = (monotonic(), size, value)
        self._bytes += size
        while len(kept) > self._most or (self._bytes > self._most_bytes and kept):
            self._bytes -= kept.popitem(last=False)[1][1]

    def forget(self, key: K) -> None:
        """Remove the value with this key, if there is one."""
        if (kept := self._kept.pop(key, None)) is not None:
            self._bytes -= kept[1]

    def get(self, key: K) -> V | None:
        """The value with this key; None if it is unknown or too old."""
        kept = self._kept.get(key)
        return kept[2] if kept is not None and self._is_recent(kept, monotonic()) else None

    def __contains__(self, key: K) -> bool:
        return self.get(key) is not None

    def items(self) -> list[tuple[K, V]]:
        """A copy, oldest first."""
        now = monotonic()
        return [(key, kept[2]) for key, kept in self._kept.items() if self._is_recent(kept, now)]

    def values(self) -> list[V]:
        """Likewise."""
        return [value for _, value in self.items()]

    def _is_recent(self, kept: tuple[float, int, V], now: float) -> bool:
        return now - kept[0] <= self._seconds


def batches(items: Iterable[V], size: int) -> Iterator[list[V]]:
    """`items` in lists of at most `size`."""
    batch: list[V] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
