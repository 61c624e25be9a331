"""What a cancel command means for a run in the state it is in. Pure: nothing is touched here."""

from dataclasses import dataclass
from uuid import UUID

from shared.commands import CancelCommand
from shared.runs import Run, RunProcess
from shared.states import Outcome, RunStatus


@dataclass(frozen=True, slots=True)
class Situation:
    """A locked run, and what is on record of the command at hand."""

    run: Run
    grace_left: float | None
    command_run_id: int | None
    command_outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Repeat:
    """The command has its outcome already."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class CancelQueued:
    """Nothing runs and nothing will."""


@dataclass(frozen=True, slots=True)
class NoOp:
    """The run is over."""

    status: RunStatus


@dataclass(frozen=True, slots=True)
class Forward:
    """The processes are on another host."""

    host: str


@dataclass(frozen=True, slots=True)
class BeginStop:
    """The grace period starts now, in seconds."""

    process: RunProcess
    grace: float


@dataclass(frozen=True, slots=True)
class ResumeStop:
    """A stop was begun; what is left of its grace period goes on, in seconds."""

    process: RunProcess
    grace_left: float


Verdict = Repeat | CancelQueued | NoOp | Forward | BeginStop | ResumeStop


class CommandReused(Exception):
    """One command id was used for two runs: the later one cannot be told from a repeat."""

    def __init__(self, command_id: UUID) -> None:
        super().__init__(f"command {command_id} was already used for another run")


def judge(
    situation: Situation, command: CancelCommand, *, host: str, default_grace: float
) -> Verdict:
    """Decide what `command` asks of the worker on `host`. Raises CommandReused."""
    run = situation.run
    if situation.command_run_id not in (None, run.run_id):
        raise CommandReused(command.command_id)
    if situation.command_outcome in (Outcome.CANCELED, Outcome.NO_OP):
        return Repeat(situation.command_outcome)
    if run.status is RunStatus.QUEUED:
        return CancelQueued()
    if run.status.is_terminal:
        return NoOp(run.status)
    assert run.process is not None  # noqa: S101 - a CHECK holds it for running and canceling
    if run.process.host != host:
        return Forward(run.process.host)
    if run.status is RunStatus.RUNNING:
        return BeginStop(run.process, _grace(run, command, default_grace))
    return ResumeStop(run.process, 0 if command.force else max(0.0, situation.grace_left or 0.0))


def _grace(run: Run, command: CancelCommand, default: float) -> float:
    if command.force:
        return 0.0
    if command.grace_seconds is not None:
        return command.grace_seconds
    return default if run.grace_seconds is None else run.grace_seconds
