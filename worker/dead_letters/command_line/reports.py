"""Prints dead letters as text or JSON."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from asyncpg import Record

from shared.command_line.output import (
    print_columns,
    print_facts,
    print_json,
    print_line,
    print_text,
)
from shared.postgres.rows import plain
from shared.postgres.sql.dead_letters import UNKNOWN_PUBLISHER
from shared.text.times import readable_time
from worker.dead_letters.bodies.body_text import body_as_text, hex_dump, indented
from worker.dead_letters.kinds import ReplayStatus, kind_of
from worker.dead_letters.replays.planning import MAX_REPLAYS, Plan, Planned
from worker.dead_letters.wanted import GroupBy

if TYPE_CHECKING:  # a list is not to wait for the libraries of a replay
    from worker.dead_letters.replays.replay import Summary
    from worker.dead_letters.replays.replay_results import Result

_COLUMNS = {
    "id": "letter_id",
    "state": "state",
    "kind": "kind",
    "reason": "reason",
    "run": "run_id",
    "publisher": "publisher",
    "attempts": "attempts",
    "replays": "replays",
    "stored": "arrived_at",
    "body": "size",
    "error": "error",
}
_MAY_HIDE = ("attempts", "body", "replays", "kind", "publisher", "state")
"""In this order, on a terminal that is too narrow for all."""
_NOT_SENT = {
    Planned.TOO_OFTEN: f"replayed {MAX_REPLAYS} times or more already, see --force",
    Planned.DISCARDED: "discarded, see --force",
    Planned.CUT: "cut: only the beginning of the body was kept, see --edit",
}
_COUNTED = ("value", "letters", "oldest", "newest")
_UNCHANGED = "the body was not changed"
_NOT_SHOWN = ("letter_key", "digest", "body", "headers")


def print_letters(letters: Iterable[Record], *, as_json: bool) -> None:
    rows = [dict(letter) for letter in letters]
    if as_json:
        print_json([_without_bytes(plain(row)) for row in rows])
    else:
        print_columns(_COLUMNS, [_shown(row) for row in rows], may_hide=_MAY_HIDE)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "kind": kind_of(row["routing_key"]),
        "publisher": row["publisher"] or UNKNOWN_PUBLISHER,
        "size": _size(row),
    }


def print_counts(counts: Iterable[Record], by: GroupBy, *, as_json: bool) -> None:
    rows = [{name: row[name] for name in _COUNTED} for row in counts]
    if as_json:
        print_json([plain(row) for row in rows])
    else:
        if by is GroupBy.PUBLISHER:
            rows = [{**row, "value": row["value"] or UNKNOWN_PUBLISHER} for row in rows]
        headings = {by.value: "value", "letters": "letters", "oldest": "oldest", "newest": "newest"}
        print_columns(headings, rows, may_hide=("oldest",))


def described(letter: Record, actions: Sequence[Record], *, as_hex: bool) -> dict[str, Any]:
    """A letter as JSON."""
    is_cut = letter["full_size"] is not None
    return {
        **_without_bytes(plain(letter)),
        "headers": json.loads(letter["headers"]),
        "body": None if as_hex else body_as_text(letter["body"], is_cut=is_cut),
        "body_hex": letter["body"].hex(),
        "actions": [plain(action) for action in actions],
    }


def print_letter(letter: Record, actions: Sequence[Record], *, as_hex: bool) -> None:
    """Print a letter. The body is shown as text, JSON indented, or else as a hex dump."""
    row = dict(letter)
    headers = json.loads(letter["headers"])
    body = letter["body"]
    is_cut = letter["full_size"] is not None
    text = None if as_hex else body_as_text(body, is_cut=is_cut)
    print_facts(
        [
            *((name, value) for name, value in row.items() if _is_shown(name, value)),
            ("body", _size(row)),
            *((f"header {name}", json.dumps(value)) for name, value in headers.items()),
            *((action["action"], _done(action)) for action in actions),
        ]
    )
    print_text(hex_dump(body) if text is None else indented(text) or text)


def print_plan(plan: Plan, *, as_json: bool) -> None:
    """Print what a replay would do with each letter, and how many there are of each kind."""
    if as_json:
        print_json(
            {
                "letters": [
                    {**_without_bytes(plain(letter)), "planned": kind.value}
                    for letter, kind in plan.letters
                ],
                "counts": {kind.value: number for kind, number in plan.counts.items()},
                "missing": plan.missing,
            }
        )
        return
    rows = [{**_shown(dict(letter)), "planned": kind.value} for letter, kind in plan.letters]
    print_columns({"id": "letter_id", "planned": "planned", **_COLUMNS}, rows, may_hide=_MAY_HIDE)
    total = sum(plan.counts.values())
    print_line(f"would be sent: {plan.counts[Planned.SENT]}{shown_of(len(plan.letters), total)}")
    for kind, why in _NOT_SENT.items():
        if number := plan.counts[kind]:
            print_line(f"would not be sent: {number}: {why}")
    if plan.missing:
        print_line(f"would not be sent: {_some(plan.missing)}: not found")


def shown_of(shown: int, total: int) -> str:
    """What to add to a total of which only some were listed."""
    return f" (the newest {shown} of {total} are listed)" if shown < total else ""


def _is_shown(name: str, value: object) -> bool:
    return value is not None and name not in (*_NOT_SHOWN, "full_size")


def _done(action: Record) -> str:
    command = f", as command {action['command_id']}" if action["command_id"] else ""
    note = f": {action['note']}" if action["note"] else ""
    return f"{readable_time(action['done_at'])} by {action['done_by']}{command}{note}"


def print_summary(summary: "Summary", *, as_json: bool) -> None:
    if as_json:
        print_json(_summary_as_json(summary))
        return
    if summary.edited_as is None:
        print_line(f"replayed {summary.replayed}")
    else:
        print_line(f"replayed as command {summary.edited_as}")
    print_skipped(summary)
    if summary.results is not None:
        _print_results(summary.results)
    elif summary.replayed:
        print_line("sent; --wait 60 also reports the results")


def print_skipped(summary: "Summary") -> None:
    """Print which letters were not replayed, and why."""
    for letters, why in (
        (summary.too_often, _NOT_SENT[Planned.TOO_OFTEN]),
        (summary.discarded, _NOT_SENT[Planned.DISCARDED]),
        (summary.cut, _NOT_SENT[Planned.CUT]),
        (summary.missing, "not found"),
        (summary.unchanged, _UNCHANGED),
    ):
        if letters:
            print_line(f"not replayed: {_some(letters)}: {why}")
    for letter_id, why in summary.edit_failed.items():
        print_line(f"not replayed: {letter_id}: {why}")


def not_sent(why: str | None) -> str:
    """Why an edited letter would not be sent; None: it was not changed."""
    return f"would not be sent: {_UNCHANGED if why is None else why}"


def _summary_as_json(summary: "Summary") -> dict[str, Any]:
    described: dict[str, Any] = {
        "replayed": summary.replayed,
        "too_often": summary.too_often,
        "discarded": summary.discarded,
        "cut": summary.cut,
        "missing": summary.missing,
        "interrupted": summary.interrupted,
        "error": summary.failed,
    }
    if summary.edited_as is not None:
        described["command_id"] = str(summary.edited_as)
    if summary.edited or summary.unchanged or summary.edit_failed:
        described["edited"] = {
            letter_id: None if command_id is None else str(command_id)
            for letter_id, command_id in summary.edited.items()
        }
        if len(summary.edited) == 1:
            (described["command_id"],) = described["edited"].values()
        described["unchanged"] = summary.unchanged
        described["edit_failed"] = summary.edit_failed
    if summary.results is not None:
        described["letters"] = [plain(asdict(result)) for result in summary.results]
    return described


def _print_results(results: "Sequence[Result]") -> None:
    for result in results:
        print_line(f"letter {result.letter_id}: {_result_text(result)}")
    became = Counter(result.became for result in results)
    print_line(
        f"settled {became[ReplayStatus.SETTLED]}, dead again {became[ReplayStatus.DEAD_AGAIN]}, "
        f"not decided in time {became[ReplayStatus.UNDECIDED]}"
    )


def _result_text(result: "Result") -> str:
    match result.became:
        case ReplayStatus.SETTLED:
            return f"{result.outcome}, run {result.run_id}"
        case ReplayStatus.DEAD_AGAIN:
            again = f" as letter {result.again}" if result.again is not None else ""
            return f"dead again{again} ({result.reason}): {result.error}"
        case ReplayStatus.UNDECIDED:
            return f"not decided in time: {result.why}"


def _size(row: Mapping[str, Any]) -> str:
    kept = row["bytes"] if "bytes" in row else len(row["body"])
    if row["full_size"] is None:
        return f"{kept} bytes"
    return f"{kept} of {row['full_size']} bytes, cut"


def _without_bytes(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _NOT_SHOWN}


def _some(letters: list[int]) -> str:
    shown = ", ".join(map(str, letters[:10]))
    return shown if len(letters) <= 10 else f"{shown} and {len(letters) - 10} more"
