"""What the page of one run shows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from shared.limits import MAX_TEXT
from shared.registrations import is_web_address
from worker.console.letters.letter_page import STEPS
from worker.console.runs import status
from worker.console.runs.found import found_by_stops, raw
from worker.console.runs.picture import life_of, stop_of
from worker.dead_letters.advice import advised
from worker.dead_letters.wanted import LetterState
from worker.runs import facts, history
from worker.runs.store import RunHistory
from worker.runs.timeline import Moment, moments
from worker.runs.wording import length

MOST: Final = 200
"""The most cancellations and dead letters that a page shows."""
_HIDDEN: Final = frozenset({"url", "labels", "dead letter"})
"""Facts that the page shows in another way."""


@dataclass(frozen=True, slots=True)
class Requested:
    """What became of the cancel that the operator has just requested."""

    command_id: UUID
    number: int | None = None
    """Which cancel of the run it is; None: no worker has received it."""
    letter: int | None = None


def view_of(found: RunHistory, requested: UUID | None) -> dict[str, Any]:
    now = datetime.now(UTC)
    run = history.as_json(found)
    has_more = {name: len(run[name]) > MOST for name in ("cancellations", "dead_letters")}
    for name in has_more:
        run[name] = run[name][:MOST]
    all_moments = moments(run)
    stop = stop_of(run, all_moments, now)
    effect = status.effect_of_cancel(run)
    return {
        "run": run,
        "in_words": status.in_words(run),
        "section": status.section_of(run),
        "facts": [fact for fact in facts.of_run(run, now) if fact[0] not in _HIDDEN],
        "labels": sorted(run["labels"].items()),
        "has_address": run["url"] is not None and is_web_address(run["url"]),
        "effect": effect,
        "is_live": effect is not None or requested is not None,
        "moments": list(_with_gaps(all_moments)),
        "life": life_of(run, all_moments, now, stop),
        "stop": stop,
        "found": found_by_stops(run),
        "cancellations": [
            (command, list(facts.of_command(command)), raw(command))
            for command in run["cancellations"]
        ],
        "letters": [(letter, _advice(letter, run)) for letter in run["dead_letters"]],
        "has_more": has_more,
        "most": MOST,
        "raw": raw(
            {
                name: value
                for name, value in run.items()
                if name not in ("cancellations", "dead_letters")
            }
        ),
        "requested": _requested(run, requested),
        "max_reason": MAX_TEXT,
    }


def _advice(letter: dict[str, Any], run: dict[str, Any]) -> str | None:
    return advised(letter, run, STEPS) if letter["state"] == LetterState.WAITING else None


def _with_gaps(all_moments: Sequence[Moment]) -> Iterator[tuple[Moment, str]]:
    """Each moment, and the time since the one before."""
    before: datetime | None = None
    for each in all_moments:
        yield each, "" if before is None else length(each.at - before)
        before = each.at


def _requested(run: dict[str, Any], command_id: UUID | None) -> Requested | None:
    if command_id is None:
        return None
    for number, command in enumerate(run["cancellations"], 1):
        if command["command_id"] == str(command_id):
            return Requested(command_id, number=number)
    for letter in run["dead_letters"]:
        if letter["command_id"] == str(command_id):
            return Requested(command_id, letter=letter["letter_id"])
    return Requested(command_id)
