"""Commands that arrive together are settled together, and mean what each means alone."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from uuid import uuid4

import pytest

from tests.support.broker.queues import holds
from tests.support.launcher.launching import locked_run
from tests.support.postgres.commit_proxy import CommitProxy
from tools.support.processes import until_gone
from tools.support.rows import ERROR, FAIL, NEVER_STARTED, PASS, insert_run
from tools.support.system import System

QUEUED = range(1, 201)
OVER = dict(zip(range(201, 205), (PASS, FAIL, ERROR, NEVER_STARTED), strict=True))


async def test_many_kinds_of_commands_at_once(system: System) -> None:
    for run_id in QUEUED:
        await system.add_run(run_id)
    for run_id, row in OVER.items():
        await insert_run(system.database, run_id, row)
    worker = await system.worker()
    marks = [(await system.launch_bad_child(run_id, "obeys"))[1] for run_id in range(301, 304)]
    await worker.stop()

    commands = {}
    for run_id in chain(QUEUED, OVER, range(301, 304)):
        commands[run_id] = await system.publish(run_id, reason=f"of {run_id}")
    repeated = await system.publish(5)
    doubled = [await system.publish(run_id, command_id=commands[run_id]) for run_id in (6, 201)]
    await system.worker()

    for run_id in QUEUED:
        assert (await system.status_becomes(run_id, "canceled"))["host"] is None
    for run_id in range(301, 304):
        await system.status_becomes(run_id, "canceled")
    for mark in marks:
        await until_gone(mark, deadline=0)
    outcomes = {run: await system.outcome_of(command) for run, command in commands.items()}
    for run_id, row in OVER.items():
        assert outcomes[run_id]["outcome"] == "no_op"
        assert outcomes[run_id]["evidence"] == {"run_status": row["status"]}
        assert (await system.run(run_id))["status"] == row["status"]
    proofs = Counter(outcomes[run_id]["evidence"]["proved_at"] for run_id in QUEUED)
    assert len(proofs) < len(QUEUED) / 4, "each was settled by itself"
    assert outcomes[7]["reason"] == "of 7"
    assert outcomes[7]["evidence"]["proof"] == "never_started"
    assert {outcomes[5]["outcome"], (await system.outcome_of(repeated))["outcome"]} == {
        "canceled",
        "no_op",
    }
    assert doubled == [commands[6], commands[201]]
    assert [len(await system.cancellations(run_id)) for run_id in (5, 6, 201)] == [2, 1, 1]
    await holds(system, system.topology.cancel, 0)
    assert await system.depth(system.topology.dead) == 0


@pytest.mark.parametrize("runs", [QUEUED, [1] * len(QUEUED)], ids=["many", "one"])
async def test_commands_on_unknown_runs_take_one_look(
    system: System, commits: CommitProxy, runs: Sequence[int]
) -> None:
    for run_id in runs:
        await system.publish(run_id)
    worker = await system.worker(env={"DATABASE_URL": commits.proxied})

    await worker.event("command_retried", count=len(QUEUED), attempt=1)

    # One for each would stand before whatever else needs a connection.
    assert 0 < commits.transactions < len(QUEUED) / 4


async def test_a_command_id_that_is_on_record_for_another_run_cancels_nothing(
    system: System,
) -> None:
    for run_id in range(1, 31):
        await system.add_run(run_id)
    await system.add_run(31)
    await system.add_run(99)
    worker = await system.worker()
    used = await system.publish(99)
    await system.outcome_of(used)
    await worker.stop()

    first = str(uuid4())
    for run_id in range(1, 29):
        await system.publish(run_id)
    await system.publish(29, command_id=used)
    await system.publish(31, command_id=first)
    await system.publish(30, command_id=first)
    await system.worker()

    dead = [await system.dead_letter() for _ in range(2)]
    assert {letter.headers["x-reason"] for letter in dead} == {"command_reused"}
    for run_id in range(1, 29):
        await system.status_becomes(run_id, "canceled")
    assert (await system.run(29))["status"] == "queued"
    statuses = [(await system.run(run_id))["status"] for run_id in (30, 31)]
    assert sorted(statuses) == ["canceled", "queued"], "of two commands with one id one counts"


async def test_a_run_that_is_locked_holds_up_no_other(system: System) -> None:
    for run_id in QUEUED:
        await system.add_run(run_id)
    commands = [await system.publish(run_id) for run_id in QUEUED]

    async with locked_run(system, 100):
        await system.worker()
        for run_id in QUEUED:
            if run_id != 100:
                await system.status_becomes(run_id, "canceled", deadline=3)
        assert (await system.run(100))["status"] == "queued"

    await system.status_becomes(100, "canceled")
    for command in commands:
        assert (await system.outcome_of(command))["outcome"] == "canceled"
    await holds(system, system.topology.cancel, 0)


async def test_killed_between_commit_and_ack_nothing_is_done_twice(system: System) -> None:
    for run_id in QUEUED:
        await system.add_run(run_id)
    commands = [await system.publish(run_id) for run_id in QUEUED]
    first = await system.program("worker", "serve")
    await system.status_becomes(1, "canceled")

    await first.kill()
    await system.worker()

    for run_id, command in zip(QUEUED, commands, strict=True):
        assert (await system.outcome_of(command))["outcome"] == "canceled"
        assert len(await system.cancellations(run_id)) == 1
    await holds(system, system.topology.cancel, 0)
    assert await system.depth(system.topology.dead) == 0


async def test_a_batch_that_is_cut_off_in_the_middle_loses_no_stop(
    system: System, commits: CommitProxy
) -> None:
    worker = await system.worker()
    jobs = range(1, 6)
    marks = [(await system.launch_bad_child(run_id, "obeys"))[1] for run_id in jobs]
    await worker.stop()
    for run_id in jobs:  # its stop begins by one statement, and the other takes a transaction
        await system.publish(run_id)
        await system.publish(run_id + 100)

    commits.cut_transactions(3, after=b"own_grace")
    await system.worker(env={"DATABASE_URL": commits.proxied})

    for run_id in jobs:
        await system.status_becomes(run_id, "canceled")
    for mark in marks:
        await until_gone(mark, deadline=0)
