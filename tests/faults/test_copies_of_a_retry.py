"""The confirm of a retry was lost, and it was published again: two copies wait in the ladder."""

import json
from typing import Any
from uuid import uuid4

from yarl import URL

from shared.commands import CANCEL_TYPE
from shared.topology import RETRY_DELAYS
from tests.support.program import Event
from tests.support.system import System

FIRST = "2026-01-01T00:00:00.000001+00:00"
SECOND = "2026-01-01T00:00:00.000002+00:00"


async def in_last_retry(system: System, command_id: str, first_failure: str) -> None:
    """Publish what a worker's retry queue delivers after the last delay."""
    await system.publish_raw(
        json.dumps({"command_id": command_id, "run_id": 404}).encode(),
        message_id=command_id,
        type=CANCEL_TYPE,
        user_id=URL(system.amqp_url).user,
        headers={"x-attempt": len(RETRY_DELAYS) + 1, "x-first-failure": first_failure},
    )


async def letters_of(system: System, command_id: str) -> list[Any]:
    return await system.database.fetch(
        "SELECT * FROM dead_letters WHERE command_id = $1::text::uuid", command_id
    )


async def test_copies_of_one_message_are_one_dead_letter(system: System) -> None:
    worker = await system.worker(keep_dead_letters="true")
    command_id = str(uuid4())

    def all_kept(_: Event) -> bool:
        kept = [e["count"] for e in worker.events if e["event"] == "dead_letters_kept"]
        return bool(sum(kept) >= 3)

    await in_last_retry(system, command_id, FIRST)
    await in_last_retry(system, command_id, FIRST)
    await in_last_retry(system, command_id, SECOND)
    await worker.event("dead_letters_kept", where=all_kept)

    letters = await letters_of(system, command_id)
    assert len(letters) == 2, "two copies of one message, and another message of the same command"
    assert len({letter["first_failed_at"] for letter in letters}) == 2
