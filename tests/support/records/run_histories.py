"""Rows of runs of each kind, with their commands and dead letters, as programs leave them."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from tools.support.rows import IDENTITY, Row

BEGAN: Final = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
SURVIVORS: Final = [{"pid": 4242, "name": "dd", "state": "D"}]
ONLY, THIRD = str(uuid4()), str(uuid4())


def _at(seconds: float) -> str:
    return (BEGAN + timedelta(seconds=seconds)).isoformat()


def _signals(at: float, processes: int, *names: str) -> list[Row]:
    return [{"signal": name, "at": _at(at), "processes": processes} for name in names]


def _stopped(ended: str, **fields: Any) -> Row:
    return {
        "ended": ended,
        "proof": "cgroup_empty",
        "proved_at": _at(63.03),
        "containment": "cgroup",
        "duration_ms": 2012,
        "signals": [
            *_signals(61.02, 4, "SIGTERM", "SIGCONT"),
            *(_signals(63.02, 1, "SIGKILL") if ended == "killed" else ()),
        ],
        "escaped": [],
        "survivors": [],
        **fields,
    }


FAILED: Final = _stopped(
    "survived",
    proof=None,
    proved_at=None,
    survivors=SURVIVORS,
    signals=[*_signals(61.02, 4, "SIGTERM", "SIGCONT"), *_signals(63.02, 1, "SIGKILL")],
)
IN_DOUBT: Final = _stopped(
    "not_proved",
    proof=None,
    proved_at=None,
    in_doubt=[{"pid": 4243, "name": "ssh-agent", "state": "S"}],
)
LEFT: Final[Row] = {
    "number": 2,
    "found": [
        {"pid": 4243, "name": "gradle", "state": "S"},
        {"pid": 4244, "name": "sleep", "state": "S"},
    ],
    "containers_number": 0,
    "containers_found": [],
    "engine_missing": False,
    "builds": False,
    "kept": False,
    "noticed_at": _at(61.01),
    "deadline": _at(63.01),
}
ADDED: Final = {"created_at": _at(0)}
STARTED: Final = {**ADDED, **IDENTITY, "started_at": _at(2), "host": "runner-7"}
STOPPING: Final = {**STARTED, "canceling_at": _at(61.01), "stop_deadline": _at(63.01)}
STOPPED: Final = {**STOPPING, "status": "canceled", "proof": "cgroup_empty"}


def _command(outcome: str | None, at: float, evidence: Row, **fields: Any) -> Row:
    return {
        "command_id": str(uuid4()),
        "via": "rest",
        "force": False,
        "received_at": _at(61),
        "outcome": outcome,
        "finished_at": None if outcome is None else _at(at),
        "evidence": evidence,
        **fields,
    }


RUNS: Final[dict[str, Row]] = {
    "queued": {"status": "queued", **ADDED, "grace_seconds": 2.5, "stop_signal": "SIGINT"},
    "running": {"status": "running", **STARTED, "containment": "session", "cgroup": None},
    "passed": {"status": "pass", **STARTED, "exit_code": 0, "finished_at": _at(62)},
    "failed": {"status": "fail", **STARTED, "exit_code": 137, "finished_at": _at(3662)},
    "killed": {**STOPPED, "exit_code": 143, "finished_at": _at(63.04)},
    "several": {**STOPPED, "finished_at": _at(63.04)},
    "never started": {
        "status": "canceled",
        "proof": "never_started",
        **ADDED,
        "finished_at": _at(61.01),
    },
    "stop failed": {"status": "canceling", **STOPPING},
    "stopped later": {**STOPPED, "finished_at": _at(120)},
    "being stopped": {"status": "canceling", **STOPPING},
    "lost": {
        "status": "error",
        **STARTED,
        "error": "the launcher died without reporting an exit code",
        "finished_at": _at(50),
        "loss": {
            "cause": "launcher_died",
            "noticed_at": _at(50),
            **FAILED,
            "signals": _signals(50.01, 1, "SIGKILL"),
        },
    },
    "leftovers": {
        "status": "error",
        **STARTED,
        "error": "the launcher died without reporting an exit code",
        "finished_at": _at(50),
        "loss": {"cause": "launcher_died", "noticed_at": _at(50), **_stopped("killed")},
    },
    "left behind": {
        "status": "pass",
        **STARTED,
        "exit_code": 0,
        "finished_at": _at(63.04),
        "left_behind": {**LEFT, **_stopped("killed")},
    },
    "left behind, containers": {
        "status": "pass",
        **STARTED,
        "containers_in": "/run-cancel/1",
        "exit_code": 0,
        "finished_at": _at(63.04),
        "left_behind": {
            **LEFT,
            "number": 0,
            "found": [],
            "containers_number": 21,
            "containers_found": [{"id": "7" * 64, "name": "cache", "image": "redis:8"}],
            **_stopped("obeyed"),
            "containers": [
                {
                    "id": "7" * 64,
                    "name": "cache",
                    "image": "redis:8",
                    "signal": "SIGTERM",
                    "exit_code": 0,
                }
            ],
        },
    },
    "left behind, unseen": {
        "status": "fail",
        **STARTED,
        "exit_code": 3,
        "finished_at": _at(73.04),
        "left_behind": {**LEFT, "number": 0, "found": [], "engine_missing": True},
    },
    "left behind, survived": {
        "status": "fail",
        **STARTED,
        "exit_code": 3,
        "finished_at": _at(73.04),
        "left_behind": {**LEFT, **FAILED},
    },
    "left behind, kept": {
        "status": "pass",
        **STARTED,
        "leftovers": "keep",
        "exit_code": 0,
        "finished_at": _at(61.02),
        "left_behind": {**LEFT, "number": 21, "kept": True, "ended": None, "proof": None},
    },
    "left behind, rebooted": {
        "status": "fail",
        **STARTED,
        "exit_code": 3,
        "finished_at": _at(73.04),
        "left_behind": {**LEFT, **FAILED, "proof": "host_rebooted"},
    },
    "left behind, replaced": {
        "status": "pass",
        **STARTED,
        "leftovers": "keep",
        "exit_code": 0,
        "finished_at": _at(61.02),
        "left_behind": {**LEFT, "kept": True, "ended": None, "proof": "none_host_replaced"},
    },
    "host replaced": {
        "status": "error",
        **STARTED,
        "error": "the launcher died without reporting an exit code",
        "finished_at": _at(50),
        "loss": {"cause": "launcher_died", "proof": "none_host_replaced"},
    },
    "forced": {
        **STOPPED,
        "first_stop_deadline": _at(121.01),
        "finished_at": _at(63.04),
    },
    "not proved": {"status": "canceling", **STOPPING},
    "container lost": {
        "status": "error",
        **STOPPING,
        "error": "its worker's container was replaced, so its end cannot be proved",
        "finished_at": _at(90),
        "loss": {
            "cause": "container_lost",
            "proof": "none_container_lost",
            "noticed_at": _at(90),
            "was": "canceling",
            "seen_from": "4026532201:52",
        },
    },
    "abandoned": {
        "status": "error",
        **STOPPING,
        "error": "host runner-7 was abandoned by ops: burnt down",
        "finished_at": _at(90),
        "loss": {
            "cause": "host_abandoned",
            "noticed_at": _at(90),
            "was": "canceling",
            "by": "ops",
            "reason": "burnt down",
        },
    },
}
COMMANDS: Final[dict[str, list[Row]]] = {
    "killed": [
        _command(
            "canceled",
            63.04,
            _stopped("killed", escaped=SURVIVORS),
            command_id=ONLY,
            publisher="gateway",
            requested_by="alice",
            reason="superseded \x1b[31mby\nme",
            requested_at=_at(60.988),
            grace_seconds=2,
        )
    ],
    "several": [
        _command("canceled", 63.04, _stopped("killed"), requested_by="alice"),
        _command(
            "no_op",
            62.01,
            {"stop_in_progress": True},
            via="direct",
            force=True,
            received_at=_at(62),
        ),
        _command(
            "no_op",
            70.01,
            {"run_status": "canceled"},
            command_id=THIRD,
            via="replay",
            publisher="ops",
            received_at=_at(70),
        ),
    ],
    "never started": [
        _command(
            "canceled",
            61.01,
            {"ended": "never_started", "proof": "never_started", "proved_at": _at(61)},
        )
    ],
    "stop failed": [_command("stop_failed", 73, FAILED)],
    "stopped later": [
        _command("canceled", 120, _stopped("already_gone", signals=[], earlier=FAILED))
    ],
    "being stopped": [_command(None, 0, {})],
    "leftovers": [_command("leftovers_stopped", 63.04, _stopped("killed"))],
    "forced": [
        _command("canceled", 63.04, _stopped("killed"), requested_by="alice"),
        _command("forced", 63.01, {"stop_in_progress": True}, force=True, received_at=_at(63.005)),
    ],
    "not proved": [_command("stop_failed", 73, IN_DOUBT)],
    "container lost": [
        _command(
            "not_proved",
            90,
            {"ended": "not_proved", "proof": None, "ran_in_namespace": "4026532200:41"},
        )
    ],
    "abandoned": [_command("abandoned", 90, {"host_abandoned_by": "ops", "reason": "burnt down"})],
}
LETTER: Final[Row] = {
    "letter_key": "k",
    "digest": "\\xab",
    "arrived_at": _at(73.1),
    "reason": "stop_failed",
    "error": "processes that survived SIGKILL: 1",
    "attempts": 1,
    "exchange": "runs.commands",
    "routing_key": "run.cancel",
    "via": "rest",
    "body": "\\x7b7d",
    "state": "waiting",
    "headers": {},
    "replays": 0,
    "command_id": ONLY,
}
