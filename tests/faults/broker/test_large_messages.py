"""Messages of many megabytes: what they cost a worker, and who waits because of them."""

import asyncio
import json
from pathlib import Path
from time import monotonic
from typing import Any, Final

import aiormq
import pytest
from aiormq import spec

from shared.amqp.keys import CANCEL_KEY
from shared.commands import CANCEL_TYPE, MAX_BODY
from tests.support.broker.queues import holds
from tools.support.program import Program
from tools.support.proxy import TcpProxy
from tools.support.system import System
from tools.support.waiting import eventually

MB: Final = 1_000_000
MESSAGES: Final = 20
SIZE: Final = 16 * MB
SMALLER: Final = 300
MOST_GROWTH: Final = 100 * MB
"""Of the 320 MB that the messages have, and that a worker would have in hand at once."""
MOST_WAIT: Final = 10.0


@pytest.mark.alone
async def test_a_flood_of_large_messages_costs_little_memory_and_a_cancel_no_time(
    system: System,
) -> None:
    worker = await system.worker(keep_dead_letters="true")
    before = _memory(worker, "VmRSS")
    assert await worker.stop() == 0
    await _publish(system, MESSAGES, b"x" * SIZE)

    worker = await system.worker(keep_dead_letters="true")
    waited = await _cancel(system, run_id=1)

    await _until_kept(system, MESSAGES)
    growth = _memory(worker, "VmHWM") - before
    assert growth < MOST_GROWTH, f"grew by {growth / MB:.0f} MB"
    assert waited < MOST_WAIT
    sizes = await system.database.fetch(
        "SELECT DISTINCT octet_length(body) AS kept, full_size FROM dead_letters"
    )
    assert [dict(row) for row in sizes] == [{"kept": MAX_BODY, "full_size": SIZE}]
    names = [event["event"] for event in worker.events]
    assert "rabbitmq_disconnected" not in names
    assert await worker.stop() == 0
    assert await system.depth(system.topology.cancel) == 0


@pytest.mark.alone
async def test_headers_that_would_swell_when_they_are_read_cost_little_too(system: System) -> None:
    worker = await system.worker(keep_dead_letters="true")
    before = _memory(worker, "VmRSS")
    assert await worker.stop() == 0
    headers: dict[str, Any] = {f"{number:x}": None for number in range(12_000)}
    await _publish(system, SMALLER, b"no command", headers)

    worker = await system.worker(keep_dead_letters="true")
    await _until_kept(system, SMALLER)

    growth = _memory(worker, "VmHWM") - before
    assert growth < MOST_GROWTH, f"grew by {growth / MB:.0f} MB"
    dropped = await system.database.fetch("SELECT DISTINCT headers::text FROM dead_letters")
    assert [json.loads(row["headers"]) for row in dropped] == [
        {"x-headers-dropped": "cannot be read: more than 1200 values"}
    ]


@pytest.mark.alone
async def test_while_many_bodies_that_are_slow_to_read_are_read_the_worker_goes_on(
    system: System, postgres: TcpProxy
) -> None:
    """As large as they may be. Together they take seconds; that many are there at once since
    Postgres is slow to answer for one before them."""
    slow = b'{"a":[' + b'{"a":1},' * 8_000 + b"1]}"
    assert len(slow) <= MAX_BODY
    worker = await system.worker(
        env={"DATABASE_URL": postgres.proxied}, keep_dead_letters="true", database_timeout=30
    )
    url = (await worker.event("worker_ready"))["http"]
    await system.add_run(1)
    postgres.stall()
    await system.publish(1)
    await _publish(system, SMALLER, slow)
    await holds(system, system.topology.cancel, 0)

    postgres.resume()

    kept = asyncio.create_task(_until_kept(system, SMALLER))
    waits = []
    while not kept.done():
        began = monotonic()
        async with system.http.get(f"{url}/healthz") as answer:
            assert answer.status == 200
        waits.append(monotonic() - began)
    await kept
    assert max(waits) < 0.7


def _memory(worker: Program, name: str) -> int:
    """Bytes: VmRSS is what it has, VmHWM the most that it had (proc(5))."""
    lines = Path(f"/proc/{worker.process.pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


async def _publish(
    system: System, count: int, body: bytes, headers: dict[str, Any] | None = None
) -> None:
    connection = await aiormq.connect(system.amqp_url)
    channel = await connection.channel(publisher_confirms=True)
    for _ in range(count):
        confirm = await channel.basic_publish(
            body,
            exchange=system.topology.commands,
            routing_key=CANCEL_KEY,
            properties=spec.Basic.Properties(
                message_type=CANCEL_TYPE, delivery_mode=2, headers=headers
            ),
            mandatory=True,
        )
        assert isinstance(confirm, spec.Basic.Ack)
    await connection.close()


async def _cancel(system: System, run_id: int) -> float:
    """Seconds from the publish of a command to its outcome."""
    await system.add_run(run_id)
    began = monotonic()
    command_id = await system.publish(run_id)
    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    return monotonic() - began


async def _until_kept(system: System, count: int) -> None:
    query = "SELECT count(*) FROM dead_letters"
    await eventually(
        lambda: system.database.fetchval(query), lambda kept: kept == count, deadline=60
    )
