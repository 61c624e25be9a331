"""A dead letter of which no worker has said anything is named in the log when it is kept."""

import json
from uuid import uuid4

import aio_pika

from tools.support.system import System


async def test_a_letter_from_another_program_is_logged_with_its_command(system: System) -> None:
    worker = await system.worker(keep_dead_letters="true")
    command_id = str(uuid4())
    body = json.dumps({"command_id": command_id, "run_id": 7}).encode()

    await system.channel.default_exchange.publish(
        aio_pika.Message(body, correlation_id="deploy-42"), system.topology.dead
    )

    found = await worker.event("dead_letter_found", reason="foreign")
    assert (found["run_id"], found["command_id"]) == (7, command_id)
    assert found["correlation_id"] == "deploy-42"
