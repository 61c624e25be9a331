"""The ladder's steps, against a tree that does as it is told; real ones are in integration/."""

import asyncio
import signal
from time import monotonic

import pytest

from shared.states import Containment, Proof
from worker.evidence import Ended, StopFailed, Survivor
from worker.stop import ladder
from worker.stop.ladder import StopPlan

STUCK = Survivor(pid=4711, name="stuck", state="D")


class ObedientTree:
    """One process, which ends on any of the signals that `obeys` names."""

    containment = Containment.CGROUP
    proof = Proof.CGROUP_EMPTY
    kill_signals: tuple[signal.Signals, ...] = (signal.SIGKILL,)

    def __init__(self, *obeys: signal.Signals) -> None:
        self.obeys = set(obeys)
        self.sent: list[signal.Signals] = []
        self.gone = asyncio.Event()

    async def is_gone(self) -> bool:
        return self.gone.is_set()

    async def send(self, *signals: signal.Signals) -> int:
        self.sent += signals
        if self.obeys & set(signals):
            self.gone.set()
        return 1

    def send_to_leader(self, signum: signal.Signals) -> bool:
        raise AssertionError("it was to be sent to the whole tree")

    async def kill(self) -> int:
        return await self.send(signal.SIGKILL)

    async def changed(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self.gone.wait()
        except TimeoutError:
            return

    async def survivors(self) -> tuple[Survivor, ...]:
        return () if self.gone.is_set() else (STUCK,)

    def in_doubt(self) -> tuple[Survivor, ...]:
        return ()

    def escaped(self) -> tuple[Survivor, ...]:
        return ()

    def close(self) -> None:
        pass


def plan(grace: float, kill_wait: float = 10) -> StopPlan:
    return StopPlan(signal.SIGTERM, monotonic() + grace, kill_wait)


async def test_a_tree_that_is_gone_gets_no_signal() -> None:
    tree = ObedientTree()
    tree.gone.set()

    evidence = await ladder.stop(tree, plan(grace=10), asyncio.Event())

    assert evidence.ended is Ended.ALREADY_GONE
    assert evidence.proof is Proof.CGROUP_EMPTY
    assert tree.sent == []


@pytest.mark.parametrize("grace", [10, 0])
async def test_what_was_gone_but_for_a_doubt_got_no_signal_and_obeyed_none(grace: float) -> None:
    class DoubtfulTree(ObedientTree):
        async def send(self, *signals: signal.Signals) -> int:
            self.gone.set()  # who was in doubt has exited
            return 0

    evidence = await ladder.stop(DoubtfulTree(), plan(grace), asyncio.Event())

    assert (evidence.ended, evidence.signals) == (Ended.ALREADY_GONE, ())


async def test_what_ends_as_its_grace_period_does_was_not_killed() -> None:
    class EndingTree(ObedientTree):
        async def kill(self) -> int:
            self.gone.set()
            return 0

    evidence = await ladder.stop(EndingTree(), plan(grace=0.05), asyncio.Event())

    assert evidence.ended is Ended.OBEYED
    assert [sent.signal for sent in evidence.signals] == ["SIGTERM", "SIGCONT"]


async def test_the_stop_signal_comes_before_sigcont_and_nothing_after_the_end() -> None:
    tree = ObedientTree(signal.SIGTERM)

    evidence = await ladder.stop(tree, plan(grace=60), asyncio.Event())

    assert evidence.ended is Ended.OBEYED
    assert tree.sent == [signal.SIGTERM, signal.SIGCONT]


async def test_a_stop_whose_deadline_has_passed_only_kills() -> None:
    tree = ObedientTree(signal.SIGTERM, signal.SIGKILL)

    evidence = await ladder.stop(tree, plan(grace=0), asyncio.Event())

    assert evidence.ended is Ended.KILLED
    assert tree.sent == [signal.SIGKILL]


async def test_a_stop_that_was_forced_before_it_began_only_kills() -> None:
    tree = ObedientTree(signal.SIGTERM, signal.SIGKILL)
    force = asyncio.Event()
    force.set()

    await ladder.stop(tree, plan(grace=60), force)

    assert tree.sent == [signal.SIGKILL]


async def test_a_tree_that_ends_by_itself_in_its_grace_period_is_not_killed() -> None:
    tree = ObedientTree()
    asyncio.get_running_loop().call_later(0.05, tree.gone.set)

    evidence = await ladder.stop(tree, plan(grace=60), asyncio.Event())

    assert evidence.ended is Ended.OBEYED
    assert signal.SIGKILL not in tree.sent


async def test_what_outlives_sigkill_is_a_failed_stop_with_its_survivors_named() -> None:
    tree = ObedientTree()
    began = monotonic()

    with pytest.raises(StopFailed, match="processes that survived SIGKILL: 1") as failure:
        await ladder.stop(tree, plan(grace=0.05, kill_wait=0.4), asyncio.Event())

    assert 0.45 <= monotonic() - began < 1.5
    evidence = failure.value.evidence
    assert evidence.ended is Ended.SURVIVED
    assert evidence.survivors == (STUCK,)
    assert (evidence.proof, evidence.proved_at) == (None, None)
    assert [sent.signal for sent in evidence.signals] == ["SIGTERM", "SIGCONT", "SIGKILL"]


async def test_a_forced_stop_waits_for_the_kill_no_longer_than_any_other() -> None:
    force = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, force.set)

    async with asyncio.timeout(5):  # not as long as the grace period that the force has ended
        with pytest.raises(StopFailed):
            await ladder.stop(ObedientTree(), plan(grace=60, kill_wait=0.1), force)


async def test_a_stop_that_is_taken_up_late_waits_for_the_kill_as_any_other() -> None:
    class SlowTree(ObedientTree):
        async def kill(self) -> int:
            asyncio.get_running_loop().call_later(0.1, self.gone.set)
            return 1

    evidence = await ladder.stop(SlowTree(), plan(grace=-60), asyncio.Event())

    assert evidence.ended is Ended.KILLED


async def test_what_was_born_during_the_kill_is_killed_too() -> None:
    class LateChild(ObedientTree):
        async def kill(self) -> int:
            await self.send(signal.SIGKILL)
            if self.sent.count(signal.SIGKILL) == 2:
                self.gone.set()
            return 1

    tree = LateChild()

    evidence = await ladder.stop(tree, plan(grace=0), asyncio.Event())

    assert evidence.ended is Ended.KILLED
    assert tree.sent == [signal.SIGKILL] * 2


class LateTree(ObedientTree):
    """It ends when it is looked for."""

    async def survivors(self) -> tuple[Survivor, ...]:
        self.gone.set()
        return ()


async def test_what_ends_while_it_is_looked_for_has_not_survived() -> None:
    evidence = await ladder.stop(LateTree(), plan(grace=0, kill_wait=0.01), asyncio.Event())

    assert (evidence.ended, evidence.proof) == (Ended.KILLED, Proof.CGROUP_EMPTY)
