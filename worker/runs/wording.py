"""Words for what is on record: times, durations, numbers, processes, exit codes."""

import signal
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Json = Mapping[str, Any]


def exit_code(code: int) -> str:
    """An exit code, with its signal by the convention of shells."""
    try:
        return f"{code} ({signal.Signals(code - 128).name})"
    except ValueError:
        return str(code)


def processes(some: Iterable[Json]) -> str:
    return ", ".join(f"pid {each['pid']} {each['name']} ({each['state']})" for each in some)


def count(number: int, what: str = "process") -> str:
    plural = "es" if what == "process" else "s"
    return f"{number} {what}{'' if number == 1 else plural}"


def second(text: str) -> str:
    """A time in UTC, to the second."""
    return f"{moment_of(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def moment_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def length(time: timedelta) -> str:
    """A duration in at most two units."""
    seconds = time.total_seconds()
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + " s"
    for unit, name, part, part_name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if seconds >= unit:
            return f"{seconds // unit:.0f} {name} {seconds % unit // part:.0f} {part_name}"
    return ""


def labels(run: Json) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(run["labels"].items()))
