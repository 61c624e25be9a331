"""What publishers send by the thousand does not stand before what callers ask over REST."""

import json
from time import monotonic
from typing import Final
from uuid import uuid4

import aiormq
import pytest
from aiormq import spec

from shared.amqp.keys import CANCEL_KEY, REST_KEY
from shared.amqp.topology import RETRY_DELAYS
from shared.commands import CANCEL_TYPE
from tests.support.broker.queues import holds
from tests.support.http.api import Api
from tools.support.system import System

FLOOD: Final = 20_000
HONEST: Final = 5
FIRST: Final = 1_000_000
SOON: Final = 3.0
"""Seconds. To work off the flood takes a multiple of that."""


async def _flood(system: System) -> None:
    """Without publisher confirms, which would take most of the time."""
    connection = await aiormq.connect(system.amqp_url)
    channel = await connection.channel(publisher_confirms=False)
    for run_id in range(1, FLOOD + 1):
        command_id = str(uuid4())
        properties = spec.Basic.Properties(
            message_id=command_id, message_type=CANCEL_TYPE, delivery_mode=2
        )
        body = json.dumps({"command_id": command_id, "run_id": run_id}).encode()
        await channel.basic_publish(
            body, exchange=system.topology.commands, routing_key=CANCEL_KEY, properties=properties
        )
    await holds(system, system.topology.cancel, FLOOD)
    await connection.close()


async def _finish_all(system: System) -> None:
    await system.database.execute(
        """
        INSERT INTO runs (run_id, status, exit_code, finished_at, started_at, host, boot_id, pid,
                          start_ticks, launcher_pid, launcher_start_ticks, uid, launch_id,
                          containment)
        SELECT n, 'pass', 0, now(), now(), 'h', gen_random_uuid(), 100, 1, 99, 1, 0,
               gen_random_uuid(), 'session'
          FROM generate_series(1, $1::bigint) n
        """,
        FLOOD,
    )


@pytest.mark.alone
@pytest.mark.parametrize("runs", ["unknown", "finished"])
async def test_a_flood_of_direct_commands_keeps_no_caller_waiting(
    system: System, runs: str
) -> None:
    if runs == "finished":
        await _finish_all(system)
    for number in range(HONEST):
        await system.add_run(FIRST + number)
    api = Api(await system.gateway(), system.http, await system.token())
    await _flood(system)
    await system.worker()

    for number in range(HONEST):
        began = monotonic()
        assert (await api.cancel(FIRST + number)).status == 202
        await system.status_becomes(FIRST + number, "canceled")
        assert monotonic() - began < SOON
        assert await system.depth(system.topology.cancel) > 0, "it came after the flood"


async def test_the_gateways_command_comes_back_from_a_retry_by_its_own_queue(
    system: System,
) -> None:
    for run_id, key in ((1, REST_KEY), (2, CANCEL_KEY)):
        await system.publish(run_id, key=key)
    worker = await system.worker()
    by_run = {
        run_id: str((await worker.event("command_retried", run_id=run_id))["queue"])
        for run_id in (1, 2)
    }
    assert by_run == {
        1: system.topology.retry(RETRY_DELAYS[0], REST_KEY),
        2: system.topology.retry(RETRY_DELAYS[0]),
    }
    await worker.stop()

    await holds(system, system.topology.rest, 1)
    await holds(system, system.topology.cancel, 1)
