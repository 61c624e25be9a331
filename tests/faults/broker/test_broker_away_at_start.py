"""RabbitMQ is away when a worker starts on a host with a stop in its grace period."""

import pytest

from tools.support.processes import alive, until_gone
from tools.support.program import Program
from tools.support.system import System

AWAY = "amqp://guest:guest@127.0.0.1:1/"
STARTS = 6
"""One more than a stop may be taken up."""


async def start_without_broker(system: System, patience: float) -> Program:
    """Start a worker that waits for RabbitMQ for `patience` seconds; it takes up run 1's stop."""
    worker = await system.program(
        "worker",
        "serve",
        AMQP_URL=AWAY,
        CANCEL_STARTUP_TIMEOUT=str(patience),
        CANCEL_WORKER_SHUTDOWN_TIMEOUT="0.1",
    )
    await worker.event("command_taken_up", run_id=1)
    return worker


@pytest.mark.parametrize("ends", ["by itself", "by a signal"])
async def test_a_stop_is_handed_on_by_each_worker_and_keeps_its_grace_period(
    system: System, ends: str
) -> None:
    worker = await system.worker(worker_shutdown_timeout=0.1)
    _, mark = await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=600)
    await system.status_becomes(1, "canceling")
    assert await worker.stop() == 0

    for _ in range(STARTS):
        # Long enough not to end by itself first.
        worker = await start_without_broker(system, 60 if ends == "by a signal" else 1)
        if ends == "by a signal":
            assert await worker.stop() == 0
        else:
            assert await worker.wait() == 1
            assert "RabbitMQ" in worker.output[-1]
        assert [e["runs"] for e in worker.events if e["event"] == "stops_handed_over"] == [1]

    (cancellation,) = await system.cancellations(1)
    assert (cancellation["outcome"], cancellation["taken_up"]) == (None, 0)
    assert alive(mark)
    await system.worker()
    await system.publish(1, force=True)
    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    await until_gone(mark, deadline=0)
