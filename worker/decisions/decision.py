"""What a cancel command means for a run in the state it is in. Pure: nothing is touched here."""

from dataclasses import dataclass
from uuid import UUID

from shared.commands import CancelCommand
from shared.errors import RunCancelError
from shared.runs import Run, RunProcess
from shared.states import Outcome, RunStatus


@dataclass(frozen=True, slots=True)
class Situation:
    """A locked run, and what is on record of the command at hand."""

    run: Run
    host_abandoned: bool
    grace_left: float | None
    """Seconds until the deadline of the stop on record, negative after it; None without one."""
    is_asked_for: bool
    """Whether another command that waits or is carried out asks for no less than this one."""
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
class Pending:
    """The run's host knows already, or will: one command that waits for it is enough."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The processes are on another host, whose worker takes the command up."""

    host: str


@dataclass(frozen=True, slots=True)
class BeginStop:
    """The grace period starts now, in seconds."""

    process: RunProcess
    grace: float


@dataclass(frozen=True, slots=True)
class ResumeStop:
    """A stop was begun; what is left of its grace period goes on, in seconds.

    `forced`: by this command, nothing of it is left.
    """

    process: RunProcess
    grace_left: float
    forced: bool


@dataclass(frozen=True, slots=True)
class StopLeftovers:
    """The run is lost, and nobody made sure yet that nothing of it lives."""

    process: RunProcess


@dataclass(frozen=True, slots=True)
class Join:
    """A stop is under way here. `forced`: this command ends its grace period."""

    forced: bool


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The stop that is under way here is this command's: it will answer it."""


@dataclass(frozen=True, slots=True)
class OpenAgain:
    """Likewise, but it is on record as failed: what the stop comes to is to answer it once more.

    The answer to the commit of its failure was lost, and its letter is replayed already.
    """


Verdict = (
    Repeat
    | CancelQueued
    | NoOp
    | Pending
    | Wait
    | BeginStop
    | ResumeStop
    | StopLeftovers
    | Join
    | UnderWay
    | OpenAgain
)


class HostAbandoned(RunCancelError):
    """The host was given up in the moment in which the run was claimed there."""

    def __init__(self, host: str) -> None:
        super().__init__(f"host {host} is abandoned, but a run of it is not")


class CommandReused(RunCancelError):
    """One command id was used for two runs: the later one cannot be told from a repeat."""

    def __init__(self, command_id: UUID) -> None:
        super().__init__(f"command {command_id} was already used for another run")


def judge(
    situation: Situation,
    command: CancelCommand,
    *,
    host: str,
    default_grace: float,
    under_way: UUID | None = None,
) -> Verdict:
    """Decide what `command` asks of the worker on `host`. Raises CommandReused, HostAbandoned.

    `under_way` is the command whose stop of the run is carried out here now.
    """
    run = situation.run
    if situation.command_run_id not in (None, run.run_id):
        raise CommandReused(command.command_id)
    if situation.command_outcome not in (None, Outcome.STOP_FAILED):
        return Repeat(situation.command_outcome)
    if (verdict := by_status(run.status)) is not None:
        return verdict
    if run.status.is_terminal and not run.leftovers_possible:
        return NoOp(run.status)
    assert run.process is not None  # noqa: S101 - a CHECK holds it for running, canceling, error
    if run.process.host != host:
        return _elsewhere(situation, run.process.host)
    if run.status is RunStatus.RUNNING:
        return BeginStop(run.process, _grace(run, command, default_grace))
    grace_left = max(0.0, situation.grace_left or 0.0)
    forced = command.force and grace_left > 0
    if under_way == command.command_id:
        return UnderWay() if situation.command_outcome is None else OpenAgain()
    if under_way is not None:
        return Join(forced)
    if run.status.is_terminal:
        return StopLeftovers(run.process)
    return ResumeStop(run.process, 0.0 if command.force else grace_left, forced)


def by_status(status: RunStatus) -> CancelQueued | NoOp | None:
    """What a new command means where that is told by the run's status alone."""
    if status is RunStatus.QUEUED:
        return CancelQueued()
    if status in (RunStatus.PASS, RunStatus.FAIL, RunStatus.CANCELED):
        return NoOp(status)
    return None


def _elsewhere(situation: Situation, host: str) -> Verdict:
    if not situation.host_abandoned:
        is_new = situation.command_run_id is None
        return Pending() if is_new and situation.is_asked_for else Wait(host)
    if situation.run.status.is_terminal:
        return NoOp(situation.run.status)
    raise HostAbandoned(host)


def asked_grace(command: CancelCommand) -> float | None:
    """The seconds that the command itself leaves; None: the run's own, or the default."""
    return 0.0 if command.force else command.grace_seconds


def _grace(run: Run, command: CancelCommand, default: float) -> float:
    seconds = (asked_grace(command), run.grace_seconds, default)
    return next(each for each in seconds if each is not None)
