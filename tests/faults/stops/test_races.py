"""Two things at the same moment: one of them wins, and the record says which."""

import asyncio
import random
import sys
from collections import Counter

from tools.support.processes import PROVED_BY, alive
from tools.support.system import System

AT_ONCE = 8


async def test_claim_raced_with_cancel_never_runs_after_canceled(system: System) -> None:
    await system.worker()
    results: Counter[str] = Counter()
    limit = asyncio.Semaphore(AT_ONCE)
    jitter = random.Random(1)

    async def race(run_id: int) -> None:
        async with limit:
            mark = f"race-{system.prefix}{run_id}"
            started = system.directory / mark
            await system.add_run(run_id)
            launched = await system.launch(
                run_id, "/bin/sh", "-c", f"touch {started}; exec sleep 60", mark
            )
            # Spreads the cancels over the launch: a launcher claims some 30 to 300 ms after its
            # start here.
            await asyncio.sleep(jitter.uniform(0.0, 0.4))
            outcome = await system.outcome_of(await system.publish(run_id, force=True))
            assert not alive(mark), "a process lives on after its run was canceled"
            code = await launched.exit_code()
            run = await system.run(run_id)
            assert run["status"] == "canceled"
            if run["host"] is None:
                assert outcome["evidence"]["proof"] == "never_started"
                assert code == 123
                assert not started.exists(), "the command ran although its run was canceled"
                results["cancel first"] += 1
            else:
                assert outcome["evidence"]["proof"] in PROVED_BY.values()
                assert code in (123, 137, 143)
                # 123: killed at the barrier.
                assert code != 123 or not started.exists(), "it says that nothing was run"
                results["claim first"] += 1

    async with asyncio.TaskGroup() as tasks:
        for run_id in range(1, 201):
            tasks.create_task(race(run_id))

    assert results.total() == 200
    # A race that always ends the same way would prove nothing.
    assert min(results["cancel first"], results["claim first"]) >= 10, results


async def test_exit_raced_with_cancel_ends_in_one_legal_state(system: System) -> None:
    await system.worker()
    results: Counter[str] = Counter()
    limit = asyncio.Semaphore(AT_ONCE)
    jitter = random.Random(2)
    ends_by_itself = "import sys; print('up', flush=True); sys.stdin.read(1)"

    async def race(run_id: int) -> None:
        async with limit:
            await system.add_run(run_id)
            launched = await system.launch(
                run_id,
                *(sys.executable, "-S", "-c", ends_by_itself),
                stdin=asyncio.subprocess.PIPE,
            )
            assert await launched.line() == "up"
            assert launched.process.stdin is not None
            # Both sides of the moment at which the command is told to end.
            early = jitter.uniform(-0.02, 0.02)
            if early < 0:
                command_id = await system.publish(run_id)
                await asyncio.sleep(-early)
                launched.process.stdin.close()
            else:
                launched.process.stdin.close()
                await asyncio.sleep(early)
                command_id = await system.publish(run_id)
            outcome = await system.outcome_of(command_id)
            code = await launched.exit_code()
            run = await system.run(run_id)
            evidence = outcome["evidence"]
            if run["status"] == "pass":
                assert (outcome["outcome"], evidence) == ("no_op", {"run_status": "pass"})
                assert code == run["exit_code"] == 0
            else:
                assert run["status"] == "canceled"
                assert outcome["outcome"] == "canceled"
                assert evidence["proof"] in PROVED_BY.values()
                assert code == 143
                assert run["exit_code"] in (None, 0, 143)
                if evidence["ended"] == "already_gone":
                    assert evidence["signals"] == []
            results[run["status"]] += 1

    async with asyncio.TaskGroup() as tasks:
        for run_id in range(1, 101):
            tasks.create_task(race(run_id))

    assert results.total() == 100
    assert len(results) == 2, results
