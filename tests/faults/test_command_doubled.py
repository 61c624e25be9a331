"""One command is in the queue twice, and two workers decide on it at the same moment."""

from uuid import uuid4

from tests.support.launching import blocked_in_database, locked_run
from tests.support.system import System


async def test_decided_by_two_workers_at_once_it_is_one_command(system: System) -> None:
    workers = [await system.worker("a"), await system.worker("b")]
    await system.add_run(1)
    command_id = str(uuid4())

    # A publisher that had no confirm sends it again. Each worker takes one of them.
    async with locked_run(system, 1):
        for _ in workers:
            await system.publish(1, command_id=command_id)
        await blocked_in_database(system, statements=2)

    for worker in workers:
        await worker.event("command_settled", command_id=command_id, result="canceled", deadline=10)
    [only] = await system.cancellations(1)
    assert only["outcome"] == "canceled"
    assert await system.depth(system.topology.dead) == 0
