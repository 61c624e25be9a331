"""What is kept with a launch: a copy of its claim, and of its end if something of it is kept.

A worker that starts can tell from it what was recorded, also if Postgres was restored to a time
before.
"""

from datetime import datetime
from uuid import UUID

from asyncpg import Record
from pydantic import BaseModel, ConfigDict

from shared.runs import Run, RunProcess
from shared.states import LeftoversPolicy, RunStatus, StopScope
from worker.memory.memory import Claim, Completion


class Registered(BaseModel):
    """What a run was registered with: columns of its row."""

    model_config = ConfigDict(frozen=True)

    grace_seconds: float | None
    stop_signal: str
    stop_scope: str
    labels: str
    """JSON."""
    url: str | None
    start_before: datetime | None
    created_at: datetime
    leftovers: str


class LaunchNote(BaseModel):
    model_config = ConfigDict(frozen=True)

    socket: str
    """The worker's socket: another installation on the machine has another one."""
    run_id: int
    process: RunProcess
    started_at: datetime
    registered: Registered

    @classmethod
    def of(cls, row: Record, socket: str) -> "LaunchNote":
        """That of a run that was claimed; `row` is all of it."""
        run = Run.from_record(row)
        assert run.process is not None  # noqa: S101 - it was claimed
        assert run.started_at is not None  # noqa: S101 - likewise
        return cls(
            socket=socket,
            run_id=run.run_id,
            process=run.process,
            started_at=run.started_at,
            registered=Registered(**{name: row[name] for name in Registered.model_fields}),
        )

    def claim(self) -> Claim:
        """As a worker remembers it."""
        it = self.registered
        run = Run(
            run_id=self.run_id,
            status=RunStatus.RUNNING,
            grace_seconds=it.grace_seconds,
            stop_signal=it.stop_signal,
            stop_scope=StopScope(it.stop_scope),
            leftovers=LeftoversPolicy(it.leftovers),
            created_at=it.created_at,
            started_at=self.started_at,
            canceling_at=None,
            finished_at=None,
            stop_deadline=None,
            start_before=it.start_before,
            expired=False,
            exit_code=None,
            error=None,
            leftovers_noted=False,
            leftovers_possible=False,
            process=self.process,
        )
        return Claim(self.process, run, {"run_id": self.run_id, **it.model_dump()})


class EndNote(BaseModel):
    """How a command ended that left behind what is kept."""

    model_config = ConfigDict(frozen=True)

    installation: datetime
    """Of the database on which it was recorded, see `sql.healing.INSTALLATION`."""
    run_id: int
    launch_id: UUID
    status: RunStatus
    exit_code: int
    finished_at: datetime
    left_behind: str | None
    """JSON."""

    def completion(self) -> Completion:
        """As a worker remembers it."""
        return Completion(
            self.run_id,
            self.launch_id,
            self.status,
            self.exit_code,
            self.finished_at,
            self.left_behind,
        )
