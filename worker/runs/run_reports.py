"""The report of one run."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from shared.command_line.output import print_json, print_line
from worker.runs import facts, history, timeline, wording
from worker.runs.store import RunHistory

Json = dict[str, Any]

_NAME: Final = 12  # the longest name of a fact


def print_run(found: RunHistory, *, as_json: bool) -> None:
    run = history.as_json(found)
    if as_json:
        print_json(run)
        return
    for line in _lines(run, datetime.now(UTC)):
        print_line(line)


def _lines(run: Json, now: datetime) -> Iterator[str]:
    yield f"run {run['run_id']}: {run['status']}"
    for name, fact in facts.of_run(run, now):
        yield f"  {name:<{_NAME}} {fact}"
    yield ""
    yield from _timeline(run)
    for number, command in enumerate(run["cancellations"], 1):
        yield ""
        yield f"  cancel {number}: command {command['command_id']}"
        for name, fact in facts.of_command(command):
            yield f"    {name:<{_NAME}} {fact}"


def _timeline(run: Json) -> Iterator[str]:
    yield f"  {'UTC':<23}  {'after':>12}  what"
    before: datetime | None = None
    for moment in timeline.moments(run):
        after = "" if before is None else wording.length(moment.at - before)
        at = f"{moment.at:%Y-%m-%d %H:%M:%S}.{moment.at.microsecond // 1000:03d}"
        yield f"  {at}  {after:>12}  {moment.what}"
        before = moment.at
