"""The run ids of a command: its arguments, and standard input where one of them is `-`."""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Annotated, Final

import typer

from shared.limits import BIGINT_MAX

_STDIN: Final = "-"
_INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_MOST_DIGITS: Final = len(str(BIGINT_MAX)) + 1

RunIds = Annotated[
    list[str],
    typer.Argument(
        metavar="N", help="Run ids; - reads them from standard input, separated by white space."
    ),
]


def batches(arguments: Sequence[str]) -> Iterator[list[int]]:
    """Distinct ids, at most `BATCH` at a time, as they are read.

    A faulty argument raises BadParameter at once; a faulty id on standard input does when it is
    read, after the batch of those before it.
    """
    ids = chain.from_iterable(
        [_from_stdin() if each == _STDIN else [_run_id(each)] for each in arguments]
    )
    return _batches(ids)


def _batches(ids: Iterable[int]) -> Iterator[list[int]]:
    from worker.runs.store import BATCH

    seen: set[int] = set()
    batch: list[int] = []
    try:
        for run_id in ids:
            if run_id not in seen:
                seen.add(run_id)
                batch.append(run_id)
            if len(batch) == BATCH:
                yield batch
                batch = []
    except typer.BadParameter:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _from_stdin() -> Iterator[int]:
    if sys.stdin is None:  # it was closed at start
        return
    for number, line in enumerate(sys.stdin.buffer, 1):
        for word in line.decode(errors="backslashreplace").split():
            yield _run_id(word, f" (line {number} of standard input)")


def _run_id(text: str, place: str = "") -> int:
    problem = _problem(text)
    if problem is not None:
        shown = text if len(text) <= _MOST_DIGITS else f"{text[:_MOST_DIGITS]}…"
        raise typer.BadParameter(f"{shown!r} {problem}{place}", param_hint="'N'")
    return int(text)


def _problem(text: str) -> str | None:
    if not _INTEGER.fullmatch(text):
        return "must be an integer"
    if text.startswith("-") or not text.strip("+0"):
        return "must be at least 1"
    if len(text.lstrip("+0")) >= _MOST_DIGITS or int(text) > BIGINT_MAX:
        return f"must be at most {BIGINT_MAX}"
    return None
