"""`runs add`: registers runs in batches, and says what became of each."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import typer
from asyncpg import Record

from shared.command_line.output import print_json, print_line
from shared.errors import ServiceUnavailable
from shared.postgres import sql
from shared.postgres.database import Database
from shared.registrations import Registered, Registration, RunOptions, register
from shared.text.times import readable_time

_MOST_SHOWN: Final = 20
_NAMES: Final[Mapping[str, str]] = {
    "grace_seconds": "grace period",
    "stop_signal": "stop signal",
    "stop_scope": "stop scope",
    "leftovers": "leftovers",
    "labels": "labels",
    "url": "url",
    "start_before": "start before",
}


@dataclass(slots=True)
class Summary:
    """The results so far, of all runs in the order in which they were named."""

    results: dict[int, Registered] = field(default_factory=dict)
    conflicts: dict[int, str] = field(default_factory=dict)
    """What differs, of the first ones."""
    unknown: Sequence[int] = ()
    """Runs that may have been added or not."""
    failed: str | None = None
    faulty: typer.BadParameter | None = None
    """An id that was read from standard input. Nothing behind it was added."""

    def number(self, result: Registered) -> int:
        return sum(1 for each in self.results.values() if each is result)


async def add(
    database: Database,
    batches: Iterator[list[int]],
    options: RunOptions,
    start_within: timedelta | None,
) -> Summary:
    """Register runs. `start_within` is from now on, by Postgres' clock."""
    if start_within is not None:
        (row,) = await database.fetch(sql.registrations.IN_TIME, start_within)
        options = options.model_copy(update={"start_before": row["start_before"]})
    summary = Summary()
    batch: list[int] = []
    try:
        for batch in batches:
            runs = [Registration(run_id=each, **options.model_dump()) for each in batch]
            results = await register(database, runs)
            summary.results |= zip(batch, results, strict=True)
            await _explain(database, batch, options, summary)
    except ServiceUnavailable as error:
        summary.failed, summary.unknown = str(error), [*set(batch) - summary.results.keys()]
    except typer.BadParameter as error:
        summary.faulty = error
    return summary


async def _explain(
    database: Database, batch: Sequence[int], options: RunOptions, summary: Summary
) -> None:
    """Note in what the runs on record differ."""
    conflicts = [each for each in batch if summary.results[each] is Registered.CONFLICT]
    some = conflicts[: max(0, _MOST_SHOWN - len(summary.conflicts))]
    if not some:
        return
    for row in await database.fetch(sql.registrations.FIND_OPTIONS, some):
        summary.conflicts[row["run_id"]] = "; ".join(_differences(row, options))


def _differences(row: Record, options: RunOptions) -> Iterator[str]:
    for name, asked in options.model_dump().items():
        found = json.loads(row[name]) if name == "labels" else row[name]
        if found != asked:
            yield f"{_NAMES[name]} {_shown(found)}, not {_shown(asked)}"


def _shown(value: object) -> str:
    match value:
        case None:
            return "none"
        case dict():
            return " ".join(f"{key}={text}" for key, text in sorted(value.items())) or "none"
        case datetime():
            return readable_time(value)
        case float():
            return f"{value:g} s"
    return str(value)


def print_summary(summary: Summary, *, if_missing: bool, as_json: bool) -> None:
    """Print what was added or, with `if_missing`, was there before."""
    if as_json:
        results: list[dict[str, Any]] = [
            {"run_id": run_id, "result": result.value} for run_id, result in summary.results.items()
        ]
        print_json({"results": results})
        return
    created = summary.number(Registered.CREATED)
    present = 0
    if if_missing:
        present = summary.number(Registered.EXISTS) + summary.number(Registered.STARTED)
    if len(summary.results) == 1:
        (run_id,) = summary.results
        if created:
            print_line(f"run {run_id} is queued")
        elif present:
            print_line(f"run {run_id} is on record already")
        return
    if created or not summary.results:
        print_line(f"{created} runs are queued" if created != 1 else "1 run is queued")
    if present:
        print_line(f"{present} of the runs were on record already")


def problems(summary: Summary, *, if_missing: bool) -> Iterator[str]:
    """Why runs were not added; the first ones one by one."""
    lines = [
        _problem(run_id, result, summary.conflicts.get(run_id))
        for run_id, result in summary.results.items()
        if result is Registered.CONFLICT
        or (not if_missing and result in (Registered.EXISTS, Registered.STARTED))
    ]
    yield from lines[:_MOST_SHOWN]
    if len(lines) > _MOST_SHOWN:
        yield f"{len(lines) - _MOST_SHOWN} more runs already exist; --json lists them all"


def _problem(run_id: int, result: Registered, differs: str | None) -> str:
    if result is Registered.CONFLICT:
        what = f": {differs}" if differs else ""
        return f"run {run_id} already exists, with other options{what}"
    return f"run {run_id} already exists"


def outage(summary: Summary) -> str:
    """What is known after an outage."""
    if not summary.results and len(summary.unknown) < 2:
        return str(summary.failed)
    created = summary.number(Registered.CREATED)
    unknown = len(summary.unknown)
    return (
        f"{summary.failed}; {created} runs were added before that, and the next {unknown} may have "
        "been: repeat the command with --if-missing"
    )
