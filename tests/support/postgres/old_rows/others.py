"""Tokens, letters, hosts and what else is no run."""

import json
from collections.abc import Iterable
from random import Random

from tests.support.postgres.old_rows.model import (
    ABANDONED_HOST,
    BOOT,
    FAR,
    HOST,
    LATER,
    REPLY,
    STEP,
    THEN,
    OldRow,
    uuid,
)
from tools.support.rows import Row


def others(base: int) -> Iterable[OldRow]:
    yield from _tokens(base)
    yield from _letters(base)
    yield from _hosts(base)
    yield from _events(base)
    for number, action in enumerate(("pruned", "host_forgotten", "signed_in"), start=base):
        audit = {"audit_id": number, "done_at": THEN, "done_by": "bob", "action": action}
        yield OldRow("audit", {**audit, "object": "records", "detail": {}}, 20)


def _tokens(base: int) -> Iterable[OldRow]:
    limits = {"write_limit": 7, "read_limit": 70, "register_limit": 700}
    token: Row = {"role": "contributor", "created_at": THEN, **limits}
    ends: tuple[Row, ...] = ({}, {"expires_at": FAR}, {"revoked_at": LATER})
    for number, end in enumerate(ends, start=base):
        which = {"token_hash": f"\\x{number:064x}", "scopes": ["runs:read"]}
        yield OldRow("tokens", {**which, "subject": f"token-{number}", **token, **end})
    window = {"spender": f"token-{base}", "budget": "read", "used": 3, "resets_at": FAR}
    yield OldRow("rate_windows", window, 2)


def _hosts(base: int) -> Iterable[OldRow]:
    host = {"boot_id": str(BOOT), "machine_id": None, "beat_seconds": 5, "seen_at": THEN}
    yield OldRow("hosts", {"host": HOST, "worker_id": uuid(1), **host}, 4)
    yield OldRow("hosts", {"host": ABANDONED_HOST, "abandoned_at": LATER, **host}, 4)
    actions = (("abandoned", 4), ("rebooted", 4), ("returned", 4), ("container_lost", 6))
    for number, (action, since) in enumerate(actions, start=base):
        of_host = {"action_id": number, "host": ABANDONED_HOST, "action": action, "done_at": THEN}
        by = {"done_by": "bob", "reason": "scrapped", "run_ids": [base + 1]}
        yield OldRow("host_actions", {**of_host, **by}, since)


def _events(base: int) -> Iterable[OldRow]:
    """Those that wait in the outbox."""
    types = {
        **{"run.finished": 11, "cancel.settled": 11, "dead_letter": 13, "run.registered": 17},
        **{"run.started": 17, "run.canceling": 17, "run.rejected": 17, "cancel.rejected": 17},
    }
    for number, (kind, since) in enumerate(types.items(), start=base * STEP):
        data: Row = {"run_id": base + 9}
        if kind == "dead_letter":
            asked = {"command_id": uuid(base + 902), "reason": None, "requested_by": "alice"}
            options = {"requested_at": None, "force": False, "grace_seconds": None}
            stop = {"via": "direct", "publisher": "scheduler", "evidence": {"ended": "survived"}}
            data = {**data, **asked, **options, **stop, "letter": uuid(base + 903)}
        event = {"event_id": number, "type": kind, "run_id": base + 9, "at": THEN, "data": data}
        yield OldRow("outbox", event, since)


def _letters(base: int) -> Iterable[OldRow]:
    said = {"command_id": uuid(base + 900), "run_id": base + 1, "requested_by": "alice"}
    unreadable = {"body": "\\xff00", "command_id": None, "run_id": None, "requested_by": None}
    # As long as workers kept them before 0019. What repeats itself would be compressed.
    text = "".join(map(chr, Random(1).choices(range(0x4E00, 0x9FA5), k=1000)))
    long: Row = {"reason": text, "publisher": text, "requested_by": text}
    cut = {"reason": text[:64], "publisher": text[:255], "requested_by": text[:255]}
    letters: tuple[tuple[int, Row], ...] = (
        (3, {"reason": "unknown_run"}),
        (3, {"reason": "malformed", **unreadable}),
        (3, {"reason": "stop_failed", "run_id": base + 6, "state": "replayed"}),
        (3, {"reason": "unknown_run", "state": "discarded"}),
        (3, long),
        (9, {"reason": "malformed", "full_size": 70_000, "error": 'at "x" /a/b 17'}),
        (17, {"reason": "run_conflict", "routing_key": "run.queued", **REPLY}),
    )
    for number, (since, row) in enumerate(letters, start=base):
        letter = {
            **{"letter_id": number, "letter_key": f"key-{number}", "digest": "\\xab"},
            **{"state": "waiting", "arrived_at": THEN, "error": "run 1 is unknown", "attempts": 4},
            **{"exchange": "runs.commands", "routing_key": "run.cancel", "via": "direct"},
            **{"body": "\\x" + json.dumps(said).encode().hex(), "headers": {"x-a": 1}},
            **{"publisher": "scheduler", "replays": 0, "type": "ci.run.cancel.v1"},
            **{"message_id": said["command_id"], "content_type": "application/json"},
            **{**said, **row},
        }
        becomes = cut if row is long else {}
        yield OldRow("dead_letters", letter, since, becomes=becomes)
        if letter["state"] != "waiting":
            action = {"action_id": number, "letter_id": number, "action": letter["state"]}
            of_letter = {**action, "done_at": THEN, "done_by": "bob"}
            yield OldRow("dead_letter_actions", of_letter, 3)
    edited = {"action_id": base + 99, "letter_id": base + 2, "action": "edited", "done_at": THEN}
    content = {"done_by": "bob", "command_id": uuid(base + 901), "body": "\\x7b7d"}
    yield OldRow("dead_letter_actions", {**edited, **content}, 3)
