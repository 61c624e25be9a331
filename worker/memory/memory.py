"""Commands, registrations and launches that this worker has recorded lately."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from asyncpg import Record

from shared.runs import Run, RunProcess
from shared.states import RunStatus
from worker.evidence import Evidence
from worker.memory.recent import Recent
from worker.messages.delivery import Delivery
from worker.messages.request import Request
from worker.processes.identity import Identity


class Decided(NamedTuple):
    """A command that is on record. A tuple, because there are many: it is made in half the time."""

    message: Delivery
    at: datetime
    never_started: bool
    """Whether it canceled a queued run."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that was claimed for a process."""

    process: RunProcess
    run: Run
    row: Record | Mapping[str, object]
    """The row of the run, with what it was registered with."""

    @property
    def launcher(self) -> Identity:
        return Identity(self.process.launcher_pid, self.process.launcher_start_ticks)


@dataclass(frozen=True, slots=True)
class Completion:
    """An exit code that was recorded."""

    run_id: int
    launch_id: UUID
    status: RunStatus
    exit_code: int
    finished_at: datetime | None
    """None if the exit code did not end the run."""
    left_behind: str | None


@dataclass(frozen=True, slots=True)
class EndedStop:
    """A stop that ended with a proof, whether that is on record or not."""

    run: Run
    process: RunProcess
    request: Request
    evidence: Evidence


class Memory:
    """Bounded: what was recorded an hour ago, or before many others, is not remembered."""

    def __init__(self) -> None:
        self.commands: Recent[UUID, Decided] = Recent()
        """By command id."""
        self.registrations: Recent[int, Delivery] = Recent()
        """By run id."""
        self.claims: Recent[UUID, Claim] = Recent()
        """By launch id."""
        self.completions: Recent[UUID, Completion] = Recent()
        """By launch id."""
        self.stops: Recent[UUID, EndedStop] = Recent()
        """By launch id."""
        self.undone = asyncio.Event()
        """Set when somebody finds that something was undone."""

    def has_ended(self, launch_id: UUID) -> bool:
        """Whether the end of this launch was on record, or its proof is about to be."""
        return launch_id in self.stops or (
            (completion := self.completions.get(launch_id)) is not None
            and completion.finished_at is not None
        )

    def claim_of(self, run_id: int, launcher: Identity) -> Claim | None:
        """The claim of this launcher on this run."""
        for claim in self.claims.values():
            if claim.launcher == launcher and claim.run.run_id == run_id:
                return claim
        return None
