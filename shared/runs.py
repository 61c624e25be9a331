"""A run, as stored in the database."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record

from shared.states import Containment, LeftoversPolicy, RunStatus, StopScope


@dataclass(frozen=True, slots=True)
class RunProcess:
    """The identity of a run's processes: leader, launcher and containment."""

    host: str
    boot_id: UUID
    pid: int
    start_ticks: int
    launcher_pid: int
    launcher_start_ticks: int
    uid: int
    launch_id: UUID
    containment: Containment
    cgroup: str | None
    pid_namespace: str | None = None
    """The pid namespace of the pids; None if an older version did not record it."""
    cgroup_inode: int | None = None
    containers_in: str | None = None
    """The cgroup parent of the containers that it has started; None if it has not asked for any."""


@dataclass(frozen=True, slots=True)
class Run:
    run_id: int
    status: RunStatus
    grace_seconds: float | None
    stop_signal: str
    stop_scope: StopScope
    leftovers: LeftoversPolicy
    created_at: datetime
    started_at: datetime | None
    canceling_at: datetime | None
    finished_at: datetime | None
    stop_deadline: datetime | None
    start_before: datetime | None
    expired: bool
    """Whether it was canceled because it had not started by `start_before`, or before a prune."""
    exit_code: int | None
    error: str | None
    leftovers_noted: bool
    """Whether its command ended by itself, and processes that it left behind are on record."""
    leftovers_possible: bool
    """Whether the run is over and processes of it may be alive."""
    process: RunProcess | None

    @classmethod
    def from_record(cls, row: Record, *, with_process: bool = True) -> "Run":
        """`with_process` may be False if it is not needed, which halves the cost."""
        return cls(
            run_id=row["run_id"],
            status=RunStatus(row["status"]),
            grace_seconds=row["grace_seconds"],
            stop_signal=row["stop_signal"],
            stop_scope=StopScope(row["stop_scope"]),
            leftovers=LeftoversPolicy(row["leftovers"]),
            created_at=row["created_at"],
            started_at=row["started_at"],
            canceling_at=row["canceling_at"],
            finished_at=row["finished_at"],
            stop_deadline=row["stop_deadline"],
            start_before=row["start_before"],
            expired=row["expired"],
            exit_code=row["exit_code"],
            error=row["error"],
            leftovers_noted=row["left_behind"] is not None,
            leftovers_possible=_leftovers_possible(row),
            process=_process(row) if with_process else None,
        )


def _leftovers_possible(row: Record) -> bool:
    match row["status"]:
        case RunStatus.ERROR:
            record = row["loss"] or "{}"
        case RunStatus.PASS | RunStatus.FAIL if row["left_behind"] is not None:
            record = row["left_behind"]
        case _:
            return False
    return json.loads(record).get("proof") is None


def _process(row: Record) -> RunProcess | None:
    if row["host"] is None:
        return None
    fields: dict[str, Any] = {name: row[name] for name in RunProcess.__dataclass_fields__}
    return RunProcess(**{**fields, "containment": Containment(fields["containment"])})
