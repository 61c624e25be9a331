"""What a command means for a run in each state."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from shared.commands import CancelCommand
from shared.runs import Run
from shared.states import LeftoversPolicy, Outcome, RunStatus, StopScope
from tests.support.records.processes import run_process
from worker.decisions.verdict import (
    BeginStop,
    CancelQueued,
    CommandReused,
    HostAbandoned,
    InProgress,
    Join,
    NoOp,
    OpenAgain,
    Pending,
    Repeat,
    ResumeStop,
    Situation,
    StopLeftovers,
    Verdict,
    Wait,
    judge,
)

HERE = "here"
DEFAULT_GRACE = 10.0
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def run(
    status: RunStatus, *, host: str = HERE, grace: float | None = None, leftovers: bool = False
) -> Run:
    return Run(
        run_id=1,
        status=status,
        grace_seconds=grace,
        stop_signal="SIGTERM",
        stop_scope=StopScope.TREE,
        created_at=NOW,
        started_at=NOW,
        canceling_at=None,
        finished_at=None,
        stop_deadline=None,
        start_before=None,
        expired=False,
        exit_code=None,
        error=None,
        leftovers=LeftoversPolicy.STOP,
        leftovers_noted=leftovers and status is not RunStatus.ERROR,
        leftovers_possible=leftovers,
        process=None if status is RunStatus.QUEUED else run_process(host=host),
    )


def command(*, force: bool = False, grace: float | None = None) -> CancelCommand:
    return CancelCommand(command_id=uuid4(), run_id=1, force=force, grace_seconds=grace)


def verdict_on(
    subject: Run,
    asked: CancelCommand | None = None,
    *,
    grace_left: float | None = None,
    outcome: Outcome | None = None,
    first_run: int | None = None,
    abandoned: bool = False,
    asked_for: bool = False,
    in_progress: UUID | None = None,
) -> Verdict:
    if outcome is not None:
        first_run = 1
    situation = Situation(subject, abandoned, grace_left, asked_for, first_run, outcome)
    return judge(
        situation,
        asked or command(),
        host=HERE,
        default_grace=DEFAULT_GRACE,
        in_progress=in_progress,
    )


def test_a_queued_run_is_canceled_on_any_host() -> None:
    assert verdict_on(run(RunStatus.QUEUED)) == CancelQueued()


@pytest.mark.parametrize(
    "status", [RunStatus.PASS, RunStatus.FAIL, RunStatus.CANCELED, RunStatus.ERROR]
)
@pytest.mark.parametrize("host", [HERE, "there"])
def test_a_finished_run_stays_as_it_is(status: RunStatus, host: str) -> None:
    assert verdict_on(run(status, host=host), command(force=True)) == NoOp(status)


@pytest.mark.parametrize("status", [RunStatus.RUNNING, RunStatus.CANCELING])
def test_processes_on_another_host_are_that_hosts_to_stop(status: RunStatus) -> None:
    assert verdict_on(run(status, host="there"), grace_left=5) == Wait("there")


def test_one_command_that_waits_for_another_host_is_enough() -> None:
    subject = run(RunStatus.RUNNING, host="there")
    asked = command()

    assert verdict_on(subject, asked, asked_for=True) == Pending()
    # Delivered once more, it is on record itself, and goes to that host.
    assert verdict_on(subject, asked, asked_for=True, first_run=1) == Wait("there")


@pytest.mark.parametrize(
    ("of_command", "of_run", "used"),
    [
        (None, None, DEFAULT_GRACE),
        (None, 3.0, 3.0),
        (None, 0.0, 0.0),
        (2.0, 3.0, 2.0),
        (0.0, 3.0, 0.0),
        (2.0, None, 2.0),
    ],
)
def test_the_commands_grace_wins_over_the_runs_and_both_over_the_default(
    of_command: float | None, of_run: float | None, used: float
) -> None:
    verdict = verdict_on(run(RunStatus.RUNNING, grace=of_run), command(grace=of_command))

    assert verdict == BeginStop(run_process(), used)


def test_force_leaves_no_grace_whatever_else_was_asked() -> None:
    verdict = verdict_on(run(RunStatus.RUNNING, grace=3), command(force=True, grace=2))

    assert verdict == BeginStop(run_process(), 0)


def test_a_stop_that_was_begun_goes_on_with_what_is_left_of_its_grace() -> None:
    verdict = verdict_on(run(RunStatus.CANCELING, grace=3), command(grace=60), grace_left=1.5)

    assert verdict == ResumeStop(run_process(), 1.5, ends_grace=False)


def test_a_stop_whose_deadline_passed_meanwhile_has_no_grace_left() -> None:
    assert verdict_on(run(RunStatus.CANCELING), grace_left=-7) == ResumeStop(
        run_process(), 0, ends_grace=False
    )


def test_force_ends_the_grace_of_a_stop_that_was_begun() -> None:
    verdict = verdict_on(run(RunStatus.CANCELING), command(force=True), grace_left=5)

    assert verdict == ResumeStop(run_process(), 0, ends_grace=True)


@pytest.mark.parametrize(
    "outcome",
    [Outcome.CANCELED, Outcome.NO_OP, Outcome.LEFTOVERS_STOPPED, Outcome.ABANDONED],
)
@pytest.mark.parametrize("status", list(RunStatus))
def test_a_command_that_has_its_outcome_does_nothing_again(
    outcome: Outcome, status: RunStatus
) -> None:
    assert verdict_on(run(status), command(force=True), outcome=outcome) == Repeat(outcome)


def test_a_failed_stop_is_taken_up_again_by_its_own_command() -> None:
    verdict = verdict_on(run(RunStatus.CANCELING), grace_left=-60, outcome=Outcome.STOP_FAILED)

    assert verdict == ResumeStop(run_process(), 0, ends_grace=False)


def test_a_command_id_that_named_another_run_is_refused() -> None:
    with pytest.raises(CommandReused, match="was already used for another run"):
        verdict_on(run(RunStatus.QUEUED), first_run=2)


def test_what_may_be_left_of_a_lost_run_is_stopped_where_it_is() -> None:
    assert verdict_on(run(RunStatus.ERROR, leftovers=True)) == StopLeftovers(
        run_process(), grace=0.0
    )
    assert verdict_on(run(RunStatus.ERROR, leftovers=True, host="there")) == Wait("there")


def test_a_lost_run_of_which_nothing_is_left_is_over() -> None:
    assert verdict_on(run(RunStatus.ERROR)) == NoOp(RunStatus.ERROR)


@pytest.mark.parametrize("status", [RunStatus.PASS, RunStatus.FAIL])
def test_what_a_finished_run_has_left_gets_a_grace_period(status: RunStatus) -> None:
    kept = run(status, leftovers=True, grace=7)

    assert verdict_on(kept) == StopLeftovers(run_process(), 7, begins=True)
    assert verdict_on(kept, command(grace=3)) == StopLeftovers(run_process(), 3, begins=True)
    assert verdict_on(kept, command(force=True)) == StopLeftovers(run_process(), 0, begins=True)
    assert verdict_on(kept, grace_left=2.5) == StopLeftovers(run_process(), 2.5)
    assert verdict_on(kept, grace_left=-1) == StopLeftovers(run_process(), 0)
    assert verdict_on(run(status, leftovers=True, host="there")) == Wait("there")


def test_what_an_abandoned_host_has_left_is_not_to_be_stopped() -> None:
    lost = run(RunStatus.ERROR, leftovers=True, host="there")

    assert verdict_on(lost, abandoned=True) == NoOp(RunStatus.ERROR)


def test_a_live_run_of_an_abandoned_host_is_not_sent_there() -> None:
    with pytest.raises(HostAbandoned, match="there"):
        verdict_on(run(RunStatus.RUNNING, host="there"), abandoned=True)


@pytest.mark.parametrize(
    ("subject", "grace_left"),
    [(run(RunStatus.CANCELING), 5.0), (run(RunStatus.ERROR, leftovers=True), None)],
)
def test_a_stop_that_is_in_progress_here_is_joined(subject: Run, grace_left: float | None) -> None:
    verdict = verdict_on(subject, grace_left=grace_left, in_progress=uuid4())

    assert verdict == Join(ends_grace=False)


@pytest.mark.parametrize(("grace_left", "ends_grace"), [(5.0, True), (0.0, False), (-1.0, False)])
def test_a_force_ends_the_grace_period_if_any_is_left(grace_left: float, ends_grace: bool) -> None:
    verdict = verdict_on(
        run(RunStatus.CANCELING), command(force=True), grace_left=grace_left, in_progress=uuid4()
    )

    assert verdict == Join(ends_grace)


def test_the_command_whose_stop_it_is_waits_for_it() -> None:
    asked = command()

    verdict = verdict_on(run(RunStatus.CANCELING), asked, in_progress=asked.command_id)

    assert verdict == InProgress()


def test_a_replay_of_a_failure_that_is_not_known_here_yet_is_answered_by_that_stop() -> None:
    asked = command()

    verdict = verdict_on(
        run(RunStatus.CANCELING),
        asked,
        outcome=Outcome.STOP_FAILED,
        first_run=1,
        in_progress=asked.command_id,
    )

    assert verdict == OpenAgain()
