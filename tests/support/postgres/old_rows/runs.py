"""Runs in every state, with their commands."""

from collections.abc import Iterable
from typing import Any, Final

from tests.support.postgres.old_rows.model import (
    ABANDONED_HOST,
    BOOT,
    FAR,
    HOST,
    LAST,
    LATER,
    REPLY,
    STEP,
    THEN,
    OldRow,
    uuid,
)
from tools.support.rows import Row

_SESSION: Final[Row] = {"containment": "session", "cgroup": None, "cgroup_inode": None}
_STOPPING: Final[Row] = {"canceling_at": THEN, "stop_deadline": THEN}


class Runs:
    """The runs of one schema, each with its commands and letters."""

    def __init__(self, base: int) -> None:
        self._base = base
        self._number = base
        self._rows: list[OldRow] = []

    def rows(self) -> Iterable[OldRow]:
        self._in_the_states_of_the_first_schema()
        self._lost()
        self._with_leftovers_and_containers()
        return self._rows

    def _add(self, since: int = 1, until: int = LAST, **row: Any) -> int:
        self._number += 1
        started = {"started_at": THEN, **self._process()} if row.pop("started", False) else {}
        over = row["status"] in ("pass", "fail", "canceled", "error")
        times = {"created_at": THEN, **({"finished_at": LATER} if over else {})}
        whole = {"run_id": self._number, "stop_signal": "SIGTERM", **times, **started, **row}
        self._rows.append(OldRow("runs", whole, since, until))
        return self._number

    def _process(self) -> Row:
        return {
            **{"host": HOST, "boot_id": str(BOOT), "uid": 1000, "launch_id": uuid(self._number)},
            **{"pid": self._number, "start_ticks": 5, "pid_namespace": "pid:[4026531836] 1"},
            **{"launcher_pid": self._number + 500, "launcher_start_ticks": 4},
            **{"containment": "cgroup", "cgroup": f"/run-{self._number}", "cgroup_inode": 77},
        }

    def _command(self, run: int, outcome: str | None, evidence: Row, **more: Any) -> str:
        since, until = more.pop("since", 1), more.pop("until", LAST)
        command = uuid(len(self._rows) + self._base * STEP)
        row = {
            **{"command_id": command, "run_id": run, "via": "rest", "force": False},
            **{"publisher": "gateway", "requested_by": "alice", "reason": "superseded"},
            **{"received_at": THEN, "outcome": outcome, "evidence": evidence, "faults": {}},
            **({"finished_at": LATER} if outcome else {}),
            **more,
        }
        self._rows.append(OldRow("cancellations", row, since, until))
        return command

    def _in_the_states_of_the_first_schema(self) -> None:
        message = {"message_header": "\\x00", "message_body": "\\x7b7d"}
        self._add(status="queued")
        self._add(status="queued", grace_seconds=3.5, stop_signal="SIGINT")
        self._add(status="running", started=True)
        self._add(status="running", started=True, **_SESSION)
        stopping = self._add(status="canceling", started=True, **_STOPPING)
        self._command(stopping, None, {}, **message)
        survived = self._add(status="canceling", started=True, **_STOPPING)
        self._command(survived, "stop_failed", evidence("survived", None))
        over = self._add(status="pass", started=True, exit_code=0)
        self._command(over, "no_op", {"run_status": "pass"})
        self._add(status="fail", started=True, exit_code=3)
        never = self._add(status="canceled", proof="never_started")
        self._command(never, "canceled", evidence("never_started", "never_started"))
        for proof, more in (("cgroup_empty", {}), ("scans_empty", _SESSION), ("host_rebooted", {})):
            stopped: Row = {"proof": proof, **_STOPPING, **more}
            canceled = self._add(status="canceled", started=True, exit_code=143, **stopped)
            self._command(canceled, "canceled", evidence("obeyed", proof))
            self._command(canceled, "no_op", {"run_status": "canceled"}, via="direct")
        # Its command is not on record.
        unproved: Row = {"proof": "not_recorded", **_STOPPING}
        self._add(status="canceled", started=True, **unproved)
        forced = self._add(
            6, status="canceling", started=True, first_stop_deadline=LATER, **_STOPPING
        )
        self._command(forced, "forced", {"stop_in_progress": True}, force=True, since=6)
        self._command(forced, None, {}, since=6, **message)
        self._add(8, status="running", started=True, unreported_since=LATER)
        waiting = self._add(12, status="running", started=True)
        self._command(waiting, None, {}, since=12, taken_up=1, **message, **REPLY)

    def _lost(self) -> None:
        # Before 0004, what was left was killed, and nothing was noted of it.
        for error, cause in (
            ("the launcher died without reporting an exit code", "launcher_died"),
            ("the host was rebooted while the run was running", "host_rebooted"),
        ):
            loss: Row = {"cause": cause, "proof": "not_recorded"}
            self._add(1, 3, status="error", started=True, error=error, loss=loss)
            loss = {"cause": cause, "noticed_at": THEN, **evidence("killed", "cgroup_empty")}
            self._add(4, status="error", started=True, error=error, loss=loss)
        given_up: Row = {"error": "abandoned", "host": ABANDONED_HOST, **_STOPPING}
        loss = {"cause": "host_abandoned", "was": "canceling", "by": "bob", "reason": "scrapped"}
        abandoned = self._add(4, status="error", started=True, loss=loss, **given_up)
        self._command(abandoned, "abandoned", {"host_abandoned_by": "bob"}, since=4)
        unproved = self._add(4, status="error", started=True, error="lost", loss={
            "cause": "launcher_died", "noticed_at": THEN})  # fmt: skip
        self._command(unproved, None, {}, since=12)
        # Lost to a worker of the version before.
        self._add(4, status="error", started=True, error="lost", loss=None)
        stopped = self._add(4, status="error", started=True, error="lost", loss={
            "cause": "launcher_died", **evidence("killed", "cgroup_empty")})  # fmt: skip
        self._command(stopped, "leftovers_stopped", evidence("killed", "cgroup_empty"), since=4)
        loss = {"cause": "container_lost", "proof": "none_container_lost", "was": "canceling"}
        lost = self._add(6, status="error", started=True, error="lost", loss=loss, **_STOPPING)
        self._command(lost, "not_proved", {"ended": "not_proved", "proof": None}, since=6)

    def _with_leftovers_and_containers(self) -> None:
        labels: Row = {"labels": {"branch": "main", "team": "a"}, "url": "https://ci.example/1"}
        options: Row = {"stop_scope": "leader", "leftovers": "keep", "start_before": FAR, **labels}
        self._add(16, status="queued", **options)
        expired: Row = {"expired": True, "proof": "never_started"}
        self._add(16, status="canceled", start_before=THEN, **expired)
        self._add(20, status="canceled", **expired)
        left: Row = {
            **{"number": 1, "found": [{"pid": 7, "name": "sleep", "state": "S"}], "kept": False},
            **{"containers_number": 0, "containers_found": [], "builds": False},
            **{"engine_missing": False, "noticed_at": THEN},
        }
        for proved in ({}, evidence("killed", "cgroup_empty")):
            passed: Row = {"exit_code": 0, "left_behind": {**left, **proved}}
            self._add(16, status="pass", started=True, **passed)
        parent = {"containers_in": "/run-cancel/1", "containers_removed": True}
        proof: Row = {"proof": "engine_reported", **parent, **_STOPPING}
        reported = self._add(18, status="canceled", started=True, **proof)
        container = {"id": "c1", "name": "db", "image": "i", "signal": "SIGTERM", "exit_code": 0}
        of_containers = {**evidence("obeyed", "engine_reported"), "containers": [container]}
        self._command(reported, "canceled", of_containers, since=18)
        kept: Row = {"leftovers": "keep", "containers_in": "/run-cancel/2", "exit_code": 1}
        self._add(18, status="fail", started=True, **kept)


def evidence(ended: str, proof: str | None) -> Row:
    """What the first schema's workers kept of a stop, which later ones only add to."""
    return {
        **{"ended": ended, "proof": proof, "proved_at": LATER if proof else None},
        **{"containment": "cgroup", "duration_ms": 12.5, "escaped": [], "survivors": []},
        "signals": [{"signal": "SIGTERM", "at": THEN, "processes": 2}],
    }
