"""What a cancel command means for a run in its current state. Pure functions only."""

from dataclasses import dataclass
from uuid import UUID

from shared.commands import CancelCommand
from shared.errors import RunCancelError
from shared.runs import Run, RunProcess
from shared.states import Outcome, RunStatus


@dataclass(frozen=True, slots=True)
class Situation:
    """A locked run, and what is on record of the command."""

    run: Run
    host_abandoned: bool
    grace_left: float | None
    """Seconds until the deadline of the stop on record, negative after it; None without one.

    If the run passed or failed: of the stop of what its command left behind."""
    is_asked_for: bool
    """Whether another open command already asks for at least as much as this one."""
    command_run_id: int | None
    command_outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Repeat:
    """The command already has its outcome."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class CancelQueued:
    """The run was queued: it is canceled and will never start."""


@dataclass(frozen=True, slots=True)
class NoOp:
    """The run is over."""

    status: RunStatus


@dataclass(frozen=True, slots=True)
class Pending:
    """Another command is already waiting for the run's host: one is enough."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The processes are on another host, whose worker takes the command up."""

    host: str


@dataclass(frozen=True, slots=True)
class BeginStop:
    """A stop begins, with this grace period in seconds."""

    process: RunProcess
    grace: float


@dataclass(frozen=True, slots=True)
class BeginAgain:
    """A stop is in progress here, but by the record none has begun: a failover undid that.

    It is recorded again, with the rest of its grace period in seconds.
    """

    grace_left: float


@dataclass(frozen=True, slots=True)
class ResumeStop:
    """A stop had begun and is resumed with the rest of its grace period, in seconds.

    `ends_grace`: this command ends the grace period.
    """

    process: RunProcess
    grace_left: float
    ends_grace: bool


@dataclass(frozen=True, slots=True)
class StopLeftovers:
    """The run is over, and it is not proved yet that its processes are gone.

    `grace` is in seconds. `begins`: its deadline is not on record yet.
    """

    process: RunProcess
    grace: float
    begins: bool = False


@dataclass(frozen=True, slots=True)
class Join:
    """A stop is in progress here. `ends_grace`: this command ends its grace period."""

    ends_grace: bool


@dataclass(frozen=True, slots=True)
class InProgress:
    """The stop in progress here is for this command, which gets its outcome from it."""


@dataclass(frozen=True, slots=True)
class OpenAgain:
    """Likewise, but the command is recorded as failed; it is opened again for the new result.

    The response to the commit of the failure was lost, and its letter was already replayed.
    """


Verdict = (
    Repeat
    | CancelQueued
    | NoOp
    | Pending
    | Wait
    | BeginStop
    | BeginAgain
    | ResumeStop
    | StopLeftovers
    | Join
    | InProgress
    | OpenAgain
)


class UnknownRun(RunCancelError):
    """The run does not exist yet: its row may be committed a moment from now."""

    def __init__(self, run_id: int) -> None:
        super().__init__(f"run {run_id} is unknown")
        self.run_id = run_id


class HostAbandoned(RunCancelError):
    """The run was claimed while its host was being abandoned."""

    def __init__(self, host: str) -> None:
        super().__init__(f"the run was claimed while its host {host} was being abandoned")


class CommandReused(RunCancelError):
    """One command id was used for two runs, so the later command looks like a repeat."""

    def __init__(self, command_id: UUID) -> None:
        super().__init__(f"command id {command_id} was already used for another run")


def judge(
    situation: Situation,
    command: CancelCommand,
    *,
    host: str,
    default_grace: float,
    in_progress: UUID | None = None,
    in_progress_grace: float = 0.0,
) -> Verdict:
    """Decide what `command` asks of the worker on `host`. Raises CommandReused, HostAbandoned.

    `in_progress` is the id of the command whose stop of the run is in progress here, and
    `in_progress_grace` the rest of its grace period, in seconds.
    """
    run = situation.run
    if situation.command_run_id not in (None, run.run_id):
        raise CommandReused(command.command_id)
    if situation.command_outcome not in (None, Outcome.STOP_FAILED):
        return Repeat(situation.command_outcome)
    if not run.leftovers_possible:
        if (verdict := by_status(run.status)) is not None:
            return verdict
        if run.status.is_terminal:
            return NoOp(run.status)
    assert run.process is not None  # noqa: S101 - a CHECK holds it for all other states
    if run.process.host != host:
        return _elsewhere(situation, run.process.host)
    if run.status is RunStatus.RUNNING and in_progress is not None:
        return BeginAgain(0.0 if command.force else in_progress_grace)
    if run.status is RunStatus.RUNNING:
        return BeginStop(run.process, _grace(run, command, default_grace))
    grace_left = max(0.0, situation.grace_left or 0.0)
    ends_grace = command.force and grace_left > 0
    if in_progress == command.command_id:
        return InProgress() if situation.command_outcome is None else OpenAgain()
    if in_progress is not None:
        return Join(ends_grace)
    if run.status is RunStatus.ERROR:
        return StopLeftovers(run.process, grace=0.0)
    if run.status.is_terminal:
        begins = situation.grace_left is None
        grace = _grace(run, command, default_grace) if begins else grace_left
        return StopLeftovers(run.process, 0.0 if command.force else grace, begins)
    return ResumeStop(run.process, 0.0 if command.force else grace_left, ends_grace)


def by_status(status: RunStatus) -> CancelQueued | NoOp | None:
    """What a new command means, for states in which the status decides.

    For a run that is over: if it has nothing left to stop.
    """
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
    """The grace period of the command, seconds; None for that of the run, or the default."""
    return 0.0 if command.force else command.grace_seconds


def _grace(run: Run, command: CancelCommand, default: float) -> float:
    seconds = (asked_grace(command), run.grace_seconds, default)
    return next(each for each in seconds if each is not None)
