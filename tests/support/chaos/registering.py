"""Attempts to register a run, the letters of what was refused, and the run on record."""

import json

from tests.support.chaos.facts import AT, LETTER, change, event, facts, run
from tools.chaos.driver.journal import Entry
from tools.chaos.observed.facts import Facts, Row

OPTIONS: Row = {"labels": {"branch": "main"}, "grace_seconds": 1}
OTHERS: Row = {"labels": {}, "grace_seconds": 1}


def round_of(*attempts: Entry, **fields: object) -> Facts:
    """A run that is still queued, and how it was asked for."""
    queued = {**run("queued", **fields), "created_at": AT, "finished_at": None}
    return facts(
        runs={7: queued},
        journal=list(attempts),
        run_transitions=[change(1, 100, None, queued)],
        letter_changes=[],
        letters=[],
        events=[event(10, "run.registered", run("queued", **fields))],
    )


def letter(reason: str, options: Row, number: int = 3) -> Row:
    return {
        **LETTER,
        "letter_id": number,
        "command_id": None,
        "reason": reason,
        "type": "ci.run.queued.v1",
        "routing_key": "run.queued",
        "body": json.dumps({"run_id": 7, **options}).encode(),
    }


def registration(way: str, result: str, options: Row, **fields: object) -> Entry:
    """An attempt that begins a second before AT, and is answered one after it."""
    at = AT.timestamp()
    return {
        "kind": "registration",
        "way": way,
        "run_id": 7,
        "options": options,
        "is_valid": True,
        "began": at - 1,
        "at": at + 1,
        "result": result,
        **fields,
    }
