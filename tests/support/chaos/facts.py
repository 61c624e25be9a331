"""A run, a command and a letter, their audit trail, and the events that tell of them."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.chaos.checks import Checked
from tools.chaos.observed.event_queue import Heard
from tools.chaos.observed.facts import Facts, Row

AT = datetime(2026, 1, 2, tzinfo=UTC)
COMMAND = "6f0c9b0e-0000-4000-8000-000000000001"


def run(status: str, **fields: object) -> Row:
    is_over = status in ("pass", "fail", "canceled", "error")
    return {
        "run_id": 7,
        "status": status,
        "host": None if status in ("queued", "canceled") else "h1",
        "labels": {"branch": "main"},
        "url": None,
        "grace_seconds": 1.0,
        "stop_signal": "SIGTERM",
        "stop_scope": "tree",
        "leftovers": "stop",
        "left_behind": None,
        "start_before": None,
        "stop_deadline": None,
        "exit_code": None,
        "error": None,
        "loss": None,
        "expired": False,
        "proof": "never_started" if status == "canceled" else None,
        "finished_at": AT.isoformat() if is_over else None,
        **fields,
    }


def command(outcome: str | None) -> Row:
    return {
        "command_id": COMMAND,
        "run_id": 7,
        "outcome": outcome,
        "requested_by": "me",
        "reason": None,
        "via": "direct",
        "publisher": "guest",
        "force": False,
        "received_at": AT.isoformat(),
        "evidence": {"ended": "never_started", "proof": "never_started", "duration_ms": 0},
    }


LETTER: Row = {
    "letter_id": 3,
    "run_id": 7,
    "command_id": COMMAND,
    "reason": "stop_failed",
    "error": "pid 4 is alive",
    "requested_by": "me",
    "via": "direct",
    "publisher": "guest",
    "type": "ci.run.cancel.v1",
    "routing_key": "run.cancel",
}


def change(place: int, transaction: int, before: Row | None, after: Row) -> Row:
    return {
        "place": place,
        "transaction": transaction,
        "at": AT,
        "before": before,
        "after": after,
        "run_id": after["run_id"],
        "command_id": after.get("command_id"),
    }


def event(number: int, kind: str, data: Row, **fields: object) -> Heard:
    body = {
        "id": str(number),
        "sequence": f"{number:020}",
        "type": f"ci.{kind}.v1",
        "subject": "7",
        "data": data,
        **fields,
    }
    return Heard(json.dumps(body).encode(), kind, str(number))


def facts(**fields: Any) -> Facts:
    """A queued run that a command canceled in one transaction, and a letter."""
    finished = {**run("canceled"), "ended": "never_started"}
    settled = {**command("canceled"), **command("canceled")["evidence"], "containers": 0}
    right = Facts(
        journal_path=Path(),
        jobs=Path("/nonexistent"),
        journal=[],
        runs={7: run("canceled")},
        cancellations=[],
        letters=[],
        run_transitions=[
            change(1, 100, None, run("queued")),
            change(3, 101, run("queued"), run("canceled")),
        ],
        command_changes=[change(2, 101, None, command("canceled"))],
        letter_changes=[change(4, 102, None, LETTER)],
        events=[
            event(10, "run.registered", run("queued")),
            event(11, "run.finished", finished),
            event(12, "cancel.settled", settled),
            event(13, "cancel.rejected", LETTER),
        ],
        queues={},
        processes=[],
        logs=[],
    )
    return replace(right, **fields)


def only(checked: Checked) -> str:
    (violation,) = checked.violations
    return violation.text


def texts(checked: Checked) -> list[str]:
    return [violation.text for violation in checked.violations]
