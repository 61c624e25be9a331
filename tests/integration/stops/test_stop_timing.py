"""The ladder on real processes: when it ends, what it sends, what it says of that."""

import asyncio
from datetime import UTC, datetime, timedelta
from signal import SIGUSR1
from time import monotonic

import pytest

from shared.states import Containment
from tests.support.stops.stoppable import stop_plan, stoppable
from tools.support.processes import KILLED_BY, PROVED_BY, alive, until_gone, until_stopped
from worker.evidence import Ended, Evidence, StopFailed
from worker.stop import ladder

NOBODY = 65534
# The best of them counts where milliseconds do: others may have the processor for longer than that.
TRIES = 8

pytestmark = pytest.mark.parametrize("containment", ["cgroup", "session"])


def names(evidence: Evidence) -> list[str]:
    return [sent.signal for sent in evidence.signals]


async def obedient_stop(containment: str) -> tuple[Evidence, float]:
    """Its evidence and the milliseconds it took."""
    async with stoppable("obeys", containment) as run:
        began = monotonic()
        evidence = await ladder.stop(run.tree, stop_plan(grace=30), asyncio.Event())
        took = (monotonic() - began) * 1000
        await until_gone(run.mark, deadline=0)
    assert evidence.ended is Ended.OBEYED
    assert names(evidence) == ["SIGTERM", "SIGCONT"]
    assert took - 50 <= evidence.duration_ms <= took
    return evidence, took


@pytest.mark.alone
async def test_an_obedient_tree_is_stopped_within_200_ms(containment: str) -> None:
    took = [(await obedient_stop(containment))[1]]
    while len(took) < TRIES and min(took) >= 200:
        took.append((await obedient_stop(containment))[1])
    assert min(took) < 200, took


async def test_the_end_of_a_tree_that_cleans_up_first_is_noticed_at_once(containment: str) -> None:
    async with stoppable("obeys_late", containment, uid=NOBODY) as run:
        stop = asyncio.create_task(ladder.stop(run.tree, stop_plan(grace=60), asyncio.Event()))
        await run.process.wait()
        async with asyncio.timeout(2):
            evidence = await stop

    assert evidence.ended is Ended.OBEYED
    assert evidence.duration_ms >= 280


@pytest.mark.alone
async def test_the_evidence_says_what_was_sent_to_how_many_when_and_what_proves_the_end(
    containment: str,
) -> None:
    before = datetime.now(UTC)
    evidence, _ = await obedient_stop(containment)
    after = datetime.now(UTC)

    assert [sent.processes for sent in evidence.signals] == [2, 2]
    assert evidence.proved_at is not None
    times = [sent.at for sent in evidence.signals] + [evidence.proved_at]
    assert before <= datetime.fromisoformat(times[0]) <= datetime.fromisoformat(times[-1]) <= after
    assert all(datetime.fromisoformat(time).utcoffset() == timedelta(0) for time in times)
    assert evidence.containment is Containment(containment)
    assert evidence.proof is PROVED_BY[containment]
    assert (evidence.escaped, evidence.survivors) == ((), ())


@pytest.mark.alone
async def test_a_stubborn_tree_is_killed_at_its_deadline(containment: str) -> None:
    late = [await lateness_of_kill(containment)]
    while len(late) < TRIES and min(late) >= 0.15:
        late.append(await lateness_of_kill(containment))
    assert min(late) < 0.15, late


async def lateness_of_kill(containment: str) -> float:
    """Seconds from the deadline of a stubborn tree to its end."""
    async with stoppable("ignores_term", containment) as run:
        plan = stop_plan(grace=0.5)
        deadline = datetime.now(UTC) + timedelta(seconds=plan.deadline - monotonic())
        stop = asyncio.create_task(ladder.stop(run.tree, plan, asyncio.Event()))
        await run.process.wait()
        late = monotonic() - plan.deadline
        evidence = await stop
        await until_gone(run.mark, deadline=0)

    assert late >= 0
    assert evidence.ended is Ended.KILLED
    assert names(evidence) == ["SIGTERM", "SIGCONT", *KILLED_BY[containment]]
    asked, *_, killed = (datetime.fromisoformat(sent.at) for sent in evidence.signals)
    assert asked < deadline <= killed + timedelta(milliseconds=5)
    return late


async def test_force_cuts_the_grace_period_short(containment: str) -> None:
    force = asyncio.Event()
    async with stoppable("defies", containment) as run:
        stop = asyncio.create_task(ladder.stop(run.tree, stop_plan(grace=60), force))
        assert run.process.stdout is not None
        async with asyncio.timeout(10):
            assert await run.process.stdout.readline() == b"asked\n"
            assert not stop.done()
            forced = monotonic()
            force.set()
            evidence = await stop
        took = monotonic() - forced
        await until_gone(run.mark, deadline=0)

    assert took < 2
    assert evidence.ended is Ended.KILLED
    assert names(evidence) == ["SIGTERM", "SIGCONT", *KILLED_BY[containment]]


async def test_a_deadline_in_the_past_leaves_only_sigkill(containment: str) -> None:
    async with stoppable("obeys", containment) as run:
        evidence = await ladder.stop(run.tree, stop_plan(grace=-60), asyncio.Event())
        await until_gone(run.mark, deadline=0)
        assert await run.process.wait() == -9

    assert names(evidence) == KILLED_BY[containment]
    assert evidence.signals[0].processes == 2


async def test_a_stopped_tree_is_continued(containment: str) -> None:
    async with stoppable("stops_itself", containment) as run:
        await until_stopped(run.mark)
        evidence = await ladder.stop(run.tree, stop_plan(grace=30), asyncio.Event())
        await until_gone(run.mark, deadline=0)
        assert await run.process.wait() == -15

    assert evidence.ended is Ended.OBEYED


async def test_a_tree_that_ended_before_the_stop_gets_no_signal(containment: str) -> None:
    async with stoppable("sleeps", containment) as run:
        run.process.kill()
        await run.process.wait()
        evidence = await ladder.stop(run.tree, stop_plan(grace=30), asyncio.Event())

    assert (evidence.ended, evidence.signals) == (Ended.ALREADY_GONE, ())
    assert evidence.proof is PROVED_BY[containment]


async def test_another_stop_signal_than_sigterm_is_sent_as_it_is(containment: str) -> None:
    async with stoppable("ignores_term", containment) as run:
        plan = stop_plan(grace=30, stop_signal=SIGUSR1)
        evidence = await ladder.stop(run.tree, plan, asyncio.Event())
        assert await run.process.wait() == -SIGUSR1

    assert names(evidence) == ["SIGUSR1", "SIGCONT"]


async def test_a_failed_stop_names_the_survivors(containment: str) -> None:
    """Nothing outlives a SIGKILL here, so the tree is kept from sending one."""
    async with stoppable("ignores_term", containment) as run:

        async def no_kill() -> int:
            return 0

        run.tree.kill = no_kill  # type: ignore[method-assign]  # of this tree alone
        with pytest.raises(StopFailed) as failure:
            await ladder.stop(run.tree, stop_plan(grace=0, kill_wait=0.3), asyncio.Event())
        (survivor,) = failure.value.evidence.survivors
        assert [survivor.pid] == alive(run.mark)

    assert failure.value.evidence.proof is None
