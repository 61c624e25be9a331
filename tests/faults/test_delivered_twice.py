"""Two messages of one command, decided by two workers at the very same moment."""

from uuid import uuid4

from tests.support.launching import blocked_in_database, locked_run
from tests.support.system import System


async def test_decided_at_once_the_later_one_changes_nothing(system: System) -> None:
    first = await system.worker(prefetch=1)
    second = await system.worker("another-host", prefetch=1)
    await system.add_run(1)
    command_id = str(uuid4())

    async with locked_run(system, 1):
        # Both look the command up while neither has recorded it.
        await system.publish(1, command_id=command_id)
        await blocked_in_database(system)
        await system.publish(1, command_id=command_id)
        await blocked_in_database(system, statements=2)
    for worker in (first, second):
        await worker.event("command_settled")

    (recorded,) = await system.cancellations(1)
    assert recorded["outcome"] == "canceled"
    assert recorded["evidence"]["proof"] == "never_started"
    assert await system.depth(system.topology.dead) == 0
