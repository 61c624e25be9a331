"""Floods of registrations: shared by workers, and no obstacle to a cancel."""

import pytest

from tests.support.broker.registrations import flood, registration, settled
from tools.support.system import System
from tools.support.waiting import eventually

FLOOD = 6_000


async def test_two_workers_register_each_run_once_though_each_message_comes_twice(
    system: System,
) -> None:
    runs = range(1, 501)
    await flood(system, (registration(run_id) for run_id in [*runs, *runs]))
    workers = [await system.worker(f"{system.host}-{n}") for n in range(2)]

    def told(result: str) -> int:
        return sum(
            event[result]
            for worker in workers
            for event in worker.events
            if event["event"] == "runs_registered"
        )

    await settled(system, len(runs))
    # The queue is empty before the last deliveries are settled.
    await eventually(lambda: told("created") + told("exists"), lambda found: found >= 2 * len(runs))
    assert told("created") == len(runs)
    assert told("exists") == len(runs)
    assert await system.depth(system.topology.dead) == 0


@pytest.mark.alone
async def test_a_cancel_does_not_wait_behind_a_flood(system: System) -> None:
    await system.add_run(FLOOD + 1)
    await flood(system, (registration(run_id) for run_id in range(1, FLOOD + 1)))
    command_id = await system.publish(FLOOD + 1)
    await system.worker()

    outcome = await system.outcome_of(command_id)
    await settled(system, FLOOD + 1)
    later = await system.database.fetchval(
        "SELECT count(*) FROM runs WHERE created_at > $1", outcome["finished_at"]
    )
    assert later > FLOOD / 2, "it came when most runs were registered"
