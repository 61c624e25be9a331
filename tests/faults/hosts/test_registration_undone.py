"""A failover of Postgres undoes that a worker has replaced an earlier one of its host."""

from uuid import UUID

from tests.support.records.hosts import BEAT
from tools.support.system import System


async def test_the_worker_registers_again_and_goes_on(system: System) -> None:
    earlier = await system.worker(host_heartbeat=BEAT)
    before = await _worker_id(system)
    await earlier.kill()
    worker = await system.worker(host_heartbeat=BEAT)
    own = await _worker_id(system)

    await system.database.execute("UPDATE hosts SET worker_id = $1", before)

    await worker.event("host_registered_again")
    await system.add_run(1)
    await system.publish(1)
    await system.status_becomes(1, "canceled")
    assert await _worker_id(system) == own


async def test_a_worker_that_was_replaced_in_order_ends(system: System) -> None:
    await (await system.worker(host_heartbeat=BEAT)).kill()
    worker = await system.worker(host_heartbeat=BEAT)

    await system.database.execute("UPDATE hosts SET worker_id = gen_random_uuid()")

    assert await worker.wait() == 2
    assert "took over the host" in worker.log()


async def _worker_id(system: System) -> UUID:
    found: UUID = await system.database.fetchval("SELECT worker_id FROM hosts")
    return found
