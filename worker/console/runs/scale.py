"""A scale of time on which short and long times can be read side by side.

Times are in proportion, but a time that is much longer than all others together is drawn shorter:
a break. Otherwise, a run that was queued for three days would show nothing else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, pairwise
from typing import Final

WIDTH: Final = 100.0
_MUCH_LONGER: Final = 20
_SHARE_OF_BREAK: Final = 0.35
_PLACE_OF_BREAK: Final = 0.75
"""Within its time: the name is before it."""


@dataclass(frozen=True, slots=True)
class Break:
    """A time that is drawn shorter than others: where that is shown, and how long it is."""

    x: float
    lasted: timedelta


class Scale:
    def __init__(self, times: Iterable[datetime], least: float = 0.0) -> None:
        """From the first of `times` to the last, with the others as the only places of breaks.

        `least`: the smallest width between two of the times.
        """
        self._times = sorted(set(times))
        gaps = [(after - at).total_seconds() for at, after in pairwise(self._times)]
        broken = _much_longer(gaps)
        widths = _widths(gaps, broken, least)
        self._places = [0.0, *accumulate(widths)]
        self.breaks = [
            Break(
                self._places[each] + widths[each] * _PLACE_OF_BREAK,
                self._times[each + 1] - self._times[each],
            )
            for each in sorted(broken)
        ]

    def at(self, time: datetime) -> float:
        """The place of a time, from 0 to WIDTH; what is outside of the scale is at its end."""
        places = zip(pairwise(self._times), pairwise(self._places), strict=True)
        for (begin, end), (left, right) in places:
            if time <= begin:
                return left
            if time < end:
                return left + (right - left) * ((time - begin) / (end - begin))
        return self._places[-1]


def _much_longer(gaps: Sequence[float]) -> list[int]:
    """Which gaps are much longer than all shorter ones together, the longest first."""
    order = sorted(range(len(gaps)), key=lambda each: -gaps[each])
    broken = []
    for number, each in enumerate(order[:-1], 1):
        if gaps[each] <= _MUCH_LONGER * sum(gaps[other] for other in order[number:]):
            break
        broken.append(each)
    return broken


def _widths(gaps: Sequence[float], broken: Sequence[int], least: float) -> list[float]:
    widths = [0.0] * len(gaps)
    left = WIDTH
    for each in broken:
        widths[each] = left * _SHARE_OF_BREAK
        left -= widths[each]
    rest = [each for each in range(len(gaps)) if each not in broken]
    total = sum(gaps[each] for each in rest)
    for each in rest:
        widths[each] = left * gaps[each] / total if total else left / len(rest)
    widths = [max(width, least) for width in widths]
    return [width * WIDTH / sum(widths) for width in widths]
