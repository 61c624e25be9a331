"""`runs cancel`: says which runs are not on record, cancels the others, reports the outcomes."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from pydantic import TypeAdapter, ValidationError

from shared.command_line.cli import with_database
from shared.command_line.output import print_error, print_json, print_line
from shared.command_line.publishing_cli import with_publisher
from shared.command_line.terminal import Bar, progress
from shared.commands import Text
from shared.errors import ServiceUnavailable, UserError
from shared.lifecycle import stop_requested
from shared.limits import MAX_TEXT
from shared.publishing import Publishing
from worker.runs import descriptions
from worker.runs.cancel import (
    Cancel,
    CancelOptions,
    CancelStatus,
    Result,
    as_json,
    cancel,
    find_unknown,
)

_MOST_SHOWN: Final = 20
_NOT_DONE: Final = (
    (CancelStatus.NOT_PUBLISHED, "not requested"),
    (CancelStatus.UNCONFIRMED, "perhaps requested; it is safe to repeat"),
)


def cancel_runs(run_ids: Sequence[int], options: CancelOptions, *, json_: bool) -> Result:
    """Request the cancels and report them. SIGINT and SIGTERM end the requests, or the wait.

    Raises UserError, InvalidSettings, SchemaError and ServiceUnavailable.
    """
    _check(options.reason)
    unknown = with_database(partial(find_unknown, run_ids=run_ids))
    missing = [run_id for run_id in run_ids if run_id in unknown]
    for line in _not_found(missing):
        print_error(f"cancel-worker: {line}")
    known = [run_id for run_id in run_ids if run_id not in unknown]
    result = _cancel_known(known, options) if known else Result([])
    result.cancels += [Cancel(run_id, CancelStatus.NOT_FOUND) for run_id in missing]
    _print(result.cancels, waited=options.wait is not None, json_=json_)
    for line in _not_done(result.cancels):
        print_error(f"cancel-worker: {line}")
    return result


def _check(reason: str | None) -> None:
    if reason is None:
        return
    try:
        TypeAdapter(Text).validate_python(reason)
    except ValidationError:
        raise UserError(
            f"--reason must have at most {MAX_TEXT} characters of valid UTF-8, without NUL"
        ) from None


def _cancel_known(run_ids: Sequence[int], options: CancelOptions) -> Result:
    async def work(publishing: Publishing) -> Result:
        stop = stop_requested()
        with progress() as bars:
            requests = bars.begin("requesting", len(run_ids))
            outcomes: Bar | None = None

            def requested(number: int) -> None:
                requests.move_to(number)

            def settled(number: int) -> None:
                nonlocal outcomes
                if outcomes is None:
                    outcomes = bars.begin("waiting", len(run_ids))
                outcomes.move_to(number)

            return await cancel(publishing, run_ids, options, stop, requested, settled)

    try:
        return with_publisher("cancel-worker runs", work)
    except* ServiceUnavailable as group:
        raise ServiceUnavailable(f"{_first(group)}; no cancel was requested") from None


def _first(group: BaseExceptionGroup[ServiceUnavailable]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _not_found(run_ids: Sequence[int]) -> Iterator[str]:
    for run_id in run_ids[:_MOST_SHOWN]:
        yield f"run {run_id} not found"
    if len(run_ids) > _MOST_SHOWN:
        yield f"{len(run_ids) - _MOST_SHOWN} more runs not found; --json lists them all"


def _not_done(cancels: Sequence[Cancel]) -> Iterator[str]:
    for status, what in _NOT_DONE:
        runs = [str(each.run_id) for each in cancels if each.status is status]
        if runs:
            more = len(runs) - _MOST_SHOWN
            rest = f" and {more} more" if more > 0 else ""
            yield f"{len(runs)} cancels {what}: run {', '.join(runs[:_MOST_SHOWN])}{rest}"


def _print(cancels: Iterable[Cancel], *, waited: bool, json_: bool) -> None:
    """A line for each run for which something was done, or all as JSON."""
    if json_:
        print_json({"results": [as_json(each) for each in cancels]})
        return
    for each in cancels:
        if each.status not in (CancelStatus.NOT_FOUND, CancelStatus.NOT_PUBLISHED):
            print_line(f"run {each.run_id}: {_line(each, waited=waited)}")


def _line(each: Cancel, *, waited: bool) -> str:
    match each.status:
        case CancelStatus.SETTLED:
            return descriptions.answered({"outcome": each.outcome, "evidence": each.evidence})
        case CancelStatus.DEAD_LETTER:
            return f"dead letter {each.letter_id} ({each.reason}): {each.error}"
    if not waited:
        return f"cancel requested, command {each.command_id}"
    if each.run_status is None:
        return "no outcome yet"
    where = f" on {each.host}" if each.host else ""
    return f"no outcome yet; it is {each.run_status}{where}"
