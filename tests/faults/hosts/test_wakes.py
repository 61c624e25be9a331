"""A command for another host's run gets there by a wake, and without one by the next heartbeat."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Final

import aio_pika
import pytest

from tests.support.records.hosts import BEAT
from tools.support.processes import until_gone
from tools.support.program import Program
from tools.support.system import System

RUNS: Final = range(1, 21)
LONG: Final = 60.0
"""Seconds between two heartbeats, where none may help."""


@pytest.fixture
def other(system: System) -> str:
    return f"{system.host}-other"


@pytest.fixture
async def here(system: System) -> AsyncIterator[Program]:
    yield await system.worker(host_heartbeat=LONG)


async def _jobs_on(system: System, host: str) -> list[str]:
    launched = [
        await system.launch_bad_child(run_id, "obeys", socket=system.socket(host))
        for run_id in RUNS
    ]
    return [mark for _, mark in launched]


async def test_it_is_carried_out_there_at_once(system: System, here: Program, other: str) -> None:
    await system.worker(other, host_heartbeat=LONG)
    marks = await _jobs_on(system, other)
    began = monotonic()

    commands = [await system.publish(run_id) for run_id in RUNS]

    for command_id in commands:
        assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    assert monotonic() - began < LONG / 4
    for mark in marks:
        await until_gone(mark, deadline=0)
    assert any(event["event"] == "command_open" for event in here.events), "none went across"


async def test_a_lost_wake_costs_a_heartbeat(system: System, here: Program, other: str) -> None:
    there = await system.worker(other, host_heartbeat=BEAT)
    marks = await _jobs_on(system, other)
    # As when its message is lost: nobody is bound to hear of it.
    await system.channel.exchange_delete(system.topology.wakes)
    await system.channel.declare_exchange(system.topology.wakes, "direct", durable=True)

    commands = [await system.publish(run_id) for run_id in RUNS]

    for command_id in commands:
        assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    for mark in marks:
        await until_gone(mark, deadline=0)
    crossed = [event for event in here.events if event["event"] == "command_open"]
    taken_up = [event for event in there.events if event["event"] == "command_taken_up"]
    assert len(crossed) == len(taken_up) > 0


async def test_a_wake_for_nothing_does_nothing(system: System, here: Program) -> None:
    await system.launch_bad_child(1, "obeys")
    exchange = await system.channel.get_exchange(system.topology.wakes)
    for _ in range(3):
        await exchange.publish(aio_pika.Message(b""), system.host, mandatory=True)
    _, other = await system.launch_bad_child(2, "obeys")

    await system.outcome_of(await system.publish(2))

    await until_gone(other, deadline=0)
    assert (await system.run(1))["status"] == "running"
    assert not [event for event in here.events if event["event"] == "command_taken_up"]


async def test_a_force_that_crosses_hosts_ends_the_grace_period_there(
    system: System, here: Program, other: str
) -> None:
    away = await system.worker(other, host_heartbeat=LONG)
    _, mark = await system.launch_bad_child(1, "ignores_term", socket=system.socket(other))
    first = await system.publish(1, grace_seconds=600)
    await system.status_becomes(1, "canceling")
    # Only this one takes commands now.
    async with asyncio.timeout(20):
        while True:
            force = await system.publish(1, force=True)
            row = await system.outcome_of(force)
            if row["outcome"] == "forced":
                break

    assert (await system.outcome_of(first))["evidence"]["ended"] == "killed"
    await until_gone(mark, deadline=0)
    assert away.process.returncode is None
    assert here.process.returncode is None
