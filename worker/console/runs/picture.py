"""The life of a run as a picture: the states that it was in, and its stop, enlarged."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, pairwise
from typing import Any, Final

from shared.states import Outcome, RunStatus
from worker.console.runs.scale import Break, Scale
from worker.runs.timeline import Kind, Moment, entered
from worker.runs.wording import length, moment_of

Json = Mapping[str, Any]

MOST_MARKS: Final = 60
_LEAST: Final = 4.0
"""The smallest width of a state, percent."""
_ROOM_FOR_NAME: Final = 22.0
_AFTER: Final = timedelta(seconds=1)
"""What follows a stop within this time belongs to it: the outcome, a dead letter."""
_AFTER_THE_END: Final = "after the end"


@dataclass(frozen=True, slots=True)
class Mark:
    x: float
    moment: Moment


@dataclass(frozen=True, slots=True)
class Segment:
    """The time in a state, from `x`, percent."""

    name: str
    x: float
    width: float
    lasted: str

    @property
    def has_room(self) -> bool:
        return self.width >= _ROOM_FOR_NAME


@dataclass(frozen=True, slots=True)
class Life:
    segments: Sequence[Segment]
    marks: Sequence[Mark]
    breaks: Sequence[Break]
    end: str | None
    """How the run ended; None if it is not over."""
    zoom: tuple[float, float] | None
    """Where the stop is that is shown enlarged."""

    @property
    def summary(self) -> str:
        said = ", then ".join(f"{each.name} for {each.lasted}" for each in self.segments)
        return f"{said}, then {self.end}" if self.end else f"{said} so far"


@dataclass(frozen=True, slots=True)
class Grace:
    """The grace period. `used_width` is the part of it that was needed."""

    x: float
    width: float
    used_width: float
    lasts: str
    until: datetime
    is_running: bool


@dataclass(frozen=True, slots=True)
class Row:
    x: float
    after: str
    moment: Moment


@dataclass(frozen=True, slots=True)
class Stop:
    rows: Sequence[Row]
    more: int
    """Moments for which there is no row."""
    grace: Grace | None
    breaks: Sequence[Break]
    begin: datetime
    end: datetime

    @property
    def lasted(self) -> str:
        return length(self.end - self.begin)


def life_of(run: Json, moments: Sequence[Moment], now: datetime, stop: Stop | None) -> Life:
    states = entered(run)
    is_over = run["finished_at"] is not None
    end = moment_of(run["finished_at"]) if is_over else max(now, states[-1][1])
    last = max([end, *(moment.at for moment in moments)])
    if last - end < _AFTER:
        last = end
    # Each state begins where the one before ends, also if clocks were set back meanwhile.
    bounds = list(accumulate([*(at for _, at in states), end], max))
    last = max(last, bounds[-1])
    scale = Scale([*bounds, last], _LEAST)
    names = [status.value for status, _ in states]
    if last > bounds[-1]:
        bounds, names = [*bounds, last], [*names, _AFTER_THE_END]
    segments = [
        Segment(name, scale.at(at), scale.at(after) - scale.at(at), length(after - at))
        for name, (at, after) in zip(names, pairwise(bounds), strict=True)
    ]
    marks = [Mark(scale.at(each.at), each) for each in moments if each.kind is not Kind.STATE]
    zoom = None if stop is None else (scale.at(stop.begin), scale.at(stop.end))
    return Life(
        segments, marks[:MOST_MARKS], scale.breaks, run["status"] if is_over else None, zoom
    )


def stop_of(run: Json, moments: Sequence[Moment], now: datetime) -> Stop | None:
    """The stop of the run's processes; None if none has begun."""
    begin, end = _bounds(run, moments)
    if begin is None or end is None:
        return None
    is_running = run["status"] == RunStatus.CANCELING and _has_open_command(run)
    deadline = _deadline(run)
    if is_running:
        end = max(end, now, deadline or now)
    shown = [each for each in moments if begin <= each.at <= end + _AFTER]
    end = max([end, *(each.at for each in shown)])
    scale = Scale([begin, end, *(each.at for each in shown), *([now] if is_running else [])])
    rows = [Row(scale.at(each.at), _offset(each.at - begin), each) for each in shown[:MOST_MARKS]]
    grace = _grace(run, scale, deadline, min(end, now), is_running=is_running)
    return Stop(rows, len(shown) - len(rows), grace, scale.breaks, begin, end)


def _bounds(run: Json, moments: Sequence[Moment]) -> tuple[datetime, datetime] | tuple[None, None]:
    """From the request that began the stop, if there was one, to its end or its latest step."""
    steps = [each.at for each in moments if each.kind in (Kind.SIGNAL, Kind.KILL, Kind.PROOF)]
    if run["canceling_at"] is not None:
        steps.append(moment_of(run["canceling_at"]))
    if not steps:
        return None, None
    begin = min(steps)
    end = max([*steps, *_ends(run)])
    causes = [
        each.at for each in moments if each.kind in (Kind.REQUEST, Kind.NOTICE) and each.at <= begin
    ]
    return max(causes, default=begin), end


def _ends(run: Json) -> Iterator[datetime]:
    """When the run ended, and when stops did."""
    if run["finished_at"] is not None:
        yield moment_of(run["finished_at"])
    for command in run["cancellations"]:
        if command["outcome"] not in (None, Outcome.NO_OP, Outcome.FORCED):
            yield moment_of(command["finished_at"])


def _has_open_command(run: Json) -> bool:
    return any(command["outcome"] is None for command in run["cancellations"])


def _deadline(run: Json) -> datetime | None:
    left = run["left_behind"] or {}
    until = run["stop_deadline"] or left.get("deadline")
    return None if until is None else moment_of(until)


def _grace(
    run: Json, scale: Scale, until: datetime | None, end: datetime, *, is_running: bool
) -> Grace | None:
    began = run["canceling_at"] or (run["left_behind"] or {}).get("noticed_at")
    if until is None or began is None:
        return None
    begin = moment_of(began)
    if until <= begin:
        return None
    x = scale.at(begin)
    used = max(scale.at(min(until, end)) - x, 0)
    return Grace(x, scale.at(until) - x, used, length(until - begin), until, is_running)


def _offset(time: timedelta) -> str:
    return f"+{length(time)}" if time else "0"
