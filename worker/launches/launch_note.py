"""A copy of a claim, kept by the kernel with the cgroup of its launch.

It lives as long as the cgroup: a worker that starts can tell from it which launch is alive, also if
Postgres was restored to a time before the claim.
"""

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from asyncpg import Record
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.runs import Run, RunProcess
from shared.states import LeftoversPolicy, RunStatus, StopScope
from worker.memory.memory import Claim
from worker.processes.cgroup import Cgroup

# cgroup v2 has user attributes since Linux 5.7. Who may write to the directory may write them, and
# may put processes into it as well: the worker's user.
_ATTRIBUTE: Final = "user.run_cancel.launch"


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

    def write(self, cgroup: Cgroup) -> None:
        """Leave it at the cgroup; nothing if that cannot have attributes, or is gone."""
        with suppress(OSError):
            os.setxattr(cgroup.path, _ATTRIBUTE, self.model_dump_json().encode())

    @classmethod
    def read(cls, path: Path) -> "LaunchNote | None":
        """The note at a cgroup; None if there is none, or it is of another version."""
        try:
            return cls.model_validate_json(os.getxattr(path, _ATTRIBUTE))
        except (OSError, ValidationError):
            return None
