"""The worker's connections go in the middle of a stop; the stop and its record do not."""

from tools.support.processes import KILLED_BY, alive, until_gone
from tools.support.proxy import TcpProxy
from tools.support.system import System


async def test_broker_cut_in_the_grace_period_leaves_one_stop_and_one_outcome(
    system: System, broker: TcpProxy
) -> None:
    worker = await system.worker(env={"AMQP_URL": broker.proxied})
    _, mark = await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=2)
    await system.status_becomes(1, "canceling")

    await broker.cut()
    await worker.event("consuming", count=2)
    assert alive(mark), "the stop was to be under way while the connection was lost"
    await worker.event("command_settled", command_id=command_id)

    [only] = await system.cancellations(1)
    assert only["outcome"] == "canceled"
    assert [sent["signal"] for sent in only["evidence"]["signals"]] == [
        "SIGTERM",
        "SIGCONT",
        *KILLED_BY[only["evidence"]["containment"]],
    ]
    await until_gone(mark, deadline=0)
    assert await system.depth(system.topology.cancel) == 0
    assert await system.depth(system.topology.dead) == 0


async def test_postgres_stalled_at_the_record_is_waited_out_with_the_evidence_kept(
    system: System, postgres: TcpProxy
) -> None:
    worker = await system.worker(env={"DATABASE_URL": postgres.proxied}, database_timeout=1)
    launched, mark = await system.launch_bad_child(1, "defies")
    command_id = await system.publish(1, grace_seconds=1)
    # The row says `canceling` before the worker has its answer: only a signal shows that it has.
    assert await launched.line() == "asked"

    postgres.stall()
    await until_gone(mark)
    await worker.event("service_unavailable")
    assert (await system.run(1))["status"] == "canceling", "nothing was recorded meanwhile"
    await postgres.cut()
    postgres.resume()

    outcome = await system.outcome_of(command_id)
    assert outcome["evidence"]["ended"] == "killed"
    assert (await system.run(1))["status"] == "canceled"


async def test_postgres_away_burns_no_attempt_of_a_command(
    system: System, postgres: TcpProxy
) -> None:
    worker = await system.worker(env={"DATABASE_URL": postgres.proxied}, database_timeout=0.3)
    await system.add_run(1)
    postgres.stall()

    command_id = await system.publish(1)
    # As many failures as there are attempts: were they counted, this would be a dead letter.
    await worker.event("service_unavailable", count=5)
    await postgres.cut()
    postgres.resume()

    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    assert await system.depth(system.topology.dead) == 0


async def test_broker_frozen_past_its_heartbeats_is_connected_to_again(
    system: System, broker: TcpProxy
) -> None:
    worker = await system.worker(env={"AMQP_URL": broker.proxied}, heartbeat=1)
    await system.add_run(1)

    broker.stall()
    await worker.event("rabbitmq_disconnected", connection=f"cancel-worker {system.host}")
    await broker.cut()
    broker.resume()

    command_id = await system.publish(1)
    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
