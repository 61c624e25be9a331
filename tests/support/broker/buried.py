"""What becomes of a message that is no command."""

import json
from itertools import count
from typing import Any

from aio_pika.abc import AbstractIncomingMessage

from shared.commands import MAX_BODY
from tools.support.program import Program
from tools.support.system import System

# Constant: parallel workers must collect the same tests.
ID = "0b7c1d2e-7f7a-4d55-8f6b-0c9a4e1f2a31"
run_ids = count(1)


def command(**fields: Any) -> bytes:
    return json.dumps({"command_id": ID, "run_id": 1, **fields}).encode()


async def goes_on(system: System, worker: Program) -> None:
    """One worker process, the same as ever, carries out a good command."""
    run_id = next(run_ids)
    await system.add_run(run_id)
    command_id = await system.publish(run_id)
    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    assert worker.process.returncode is None
    assert [event["event"] for event in worker.events].count("worker_ready") == 1
    assert [event["event"] for event in worker.events].count("consuming") == 1


async def buried(system: System, reason: str, body: bytes) -> AbstractIncomingMessage:
    """Wait for the dead letter, which is all that is left of the message."""
    message = await system.dead_letter()
    assert message.headers["x-reason"] == reason
    assert message.headers["x-error"]
    assert message.headers["x-original-exchange"] == system.topology.commands
    assert message.headers["x-original-routing-key"] == "run.cancel"
    assert message.body == body[:MAX_BODY]
    assert message.headers.get("x-body-size") == (len(body) if len(body) > MAX_BODY else None)
    assert await system.depth(system.topology.dead) == 0
    assert await system.depth(system.topology.cancel) == 0
    return message
