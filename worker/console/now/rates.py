"""How much happened in each of the last minutes, and the plots of that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from shared.postgres.sql.now import MOST_PER_RATE, RATE_MINUTES

# Of a plot, in the units of its SVG.
WIDTH: Final = 300
HEIGHT: Final = 60
_GAP: Final = 4


@dataclass(frozen=True, slots=True)
class Kind:
    """A part of what is counted, such as the cancels that have an outcome other than canceled."""

    name: str
    """As in the statement, and as the class of its bars."""
    label: str


_RATES: Final[Mapping[str, tuple[str, tuple[Kind, ...]]]] = {
    "cancels": (
        "Cancels received",
        (Kind("canceled", "canceled"), Kind("other", "other outcome"), Kind("open", "open")),
    ),
    "ended": ("Runs that ended", (Kind("canceled", "canceled"), Kind("other", "otherwise"))),
    "letters": ("Dead letters", (Kind("", ""),)),
}


@dataclass(frozen=True, slots=True)
class Bar:
    kind: str
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Rate:
    title: str
    kinds: Sequence[Kind]
    minutes: Sequence[datetime]
    """The last one is not over yet."""
    numbers: Mapping[str, Sequence[int]]
    """By kind, for each minute."""

    @property
    def per_minute(self) -> list[int]:
        return [sum(each) for each in zip(*self.numbers.values(), strict=True)]

    @property
    def total(self) -> int:
        return sum(self.per_minute)

    @property
    def is_cut(self) -> bool:
        """Whether only the newest were counted."""
        return self.total >= MOST_PER_RATE

    @property
    def most(self) -> int:
        """The largest number of a minute."""
        return max(self.per_minute)

    @property
    def text(self) -> str:
        """What the plot shows, for who does not see it."""
        first = f"{self.minutes[0]:%H:%M}"
        figures = ", ".join(map(str, self.per_minute))
        return f"{self.title} per minute from {first} UTC on: {figures}"

    @property
    def bars(self) -> list[Bar]:
        step = WIDTH / len(self.minutes)
        per_one = HEIGHT / max(1, self.most)
        found = []
        for place, minute in enumerate(self.minutes):
            top = float(HEIGHT)
            for kind in self.kinds:
                number = self.numbers[kind.name][place]
                if number == 0:
                    continue
                height = number * per_one
                top -= height
                what = f"{minute:%H:%M}: {number} {kind.label}".rstrip()
                x = round(place * step + _GAP / 2, 1)
                y, width = round(top, 2), round(step - _GAP, 1)
                found.append(Bar(kind.name or "only", x, y, width, round(height, 2), what))
        return found


def rates(rows: Iterable[Mapping[str, Any]], now: datetime) -> list[Rate]:
    """From the rows of `sql.now.RATES`, which were counted at `now`."""
    counted = {(row["rate"], row["kind"], row["minute"]): row["number"] for row in rows}
    this = now.replace(second=0, microsecond=0)
    minutes = [this - timedelta(minutes=ago) for ago in reversed(range(RATE_MINUTES))]
    return [
        Rate(
            title,
            kinds,
            minutes,
            {
                kind.name: [counted.get((name, kind.name, minute), 0) for minute in minutes]
                for kind in kinds
            },
        )
        for name, (title, kinds) in _RATES.items()
    ]
