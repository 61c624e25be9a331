"""Postgres away: commands wait, in the queue if it takes long, and all are carried out after it."""

from collections.abc import Callable
from typing import Final

import pytest

from tests.support.broker.queues import holds
from tools.support.program import Program
from tools.support.proxy import TcpProxy
from tools.support.system import System

COMMANDS: Final = 30


@pytest.mark.parametrize("how", [TcpProxy.refuse, TcpProxy.stall], ids=["refused", "stalled"])
async def test_commands_that_come_while_it_is_away_burn_no_attempt(
    system: System, postgres: TcpProxy, how: Callable[[TcpProxy], None]
) -> None:
    worker = await system.worker(env={"DATABASE_URL": postgres.proxied}, database_timeout=0.3)
    first = await _commands(system, 1)

    how(postgres)
    await postgres.cut()
    second = await _commands(system, 100)
    await worker.event("service_unavailable", where=lambda event: event["attempt"] == 5)
    await _back(postgres)

    for command_id in first + second:
        assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    await _nothing_failed(system, worker)


async def test_after_a_while_nothing_is_taken_until_it_answers(
    system: System, postgres: TcpProxy, broker: TcpProxy
) -> None:
    worker = await system.worker(
        env={"DATABASE_URL": postgres.proxied, "AMQP_URL": broker.proxied}, database_timeout=0.3
    )
    postgres.refuse()
    await postgres.cut()
    held = await _commands(system, 1)
    await holds(system, system.topology.cancel, 0)

    await worker.event("consuming_paused")
    # What was held goes back, and is not taken again, even after a reconnect.
    await holds(system, system.topology.cancel, COMMANDS)
    waiting = await _commands(system, 100)
    assert await system.depth(system.topology.cancel) == 2 * COMMANDS
    await broker.cut()
    await worker.event("rabbitmq_connected", connection=f"cancel-worker {system.host}", count=2)
    later = len(_unanswered(worker))
    await worker.event("service_unavailable", count=later + 5)
    assert await system.depth(system.topology.cancel) == 2 * COMMANDS
    await _back(postgres)

    await worker.event("consuming", count=2)
    for command_id in held + waiting:
        assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    await holds(system, system.topology.cancel, 0)
    await _nothing_failed(system, worker)


async def _commands(system: System, first: int) -> list[str]:
    runs = range(first, first + COMMANDS)
    for run_id in runs:
        await system.add_run(run_id)
    return [await system.publish(run_id) for run_id in runs]


async def _back(postgres: TcpProxy) -> None:
    await postgres.cut()
    postgres.accept()
    postgres.resume()


def _unanswered(worker: Program) -> list[str]:
    return [e["event"] for e in worker.events if e["event"] == "service_unavailable"]


async def _nothing_failed(system: System, worker: Program) -> None:
    names = {event["event"] for event in worker.events}
    assert not names & {"command_retried", "command_dead_lettered", "command_failed"}
    assert await worker.stop() == 0
    assert await system.depth(system.topology.cancel) == 0
    assert await system.depth(system.topology.dead) == 0
