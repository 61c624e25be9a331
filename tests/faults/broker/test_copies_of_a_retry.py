"""The confirm of a retry was lost, and it was published again: two copies wait in the ladder."""

import json
from typing import Any
from uuid import uuid4

from yarl import URL

from shared.amqp.topology import RETRY_DELAYS
from shared.commands import CANCEL_TYPE
from tools.support.program import Program
from tools.support.system import System
from tools.support.waiting import eventually

FIRST = "2026-01-01T00:00:00.000001+00:00"
SECOND = "2026-01-01T00:00:00.000002+00:00"


async def in_last_retry(
    system: System, command_id: str, first_failure: str, **headers: object
) -> None:
    """Publish what a worker's retry queue delivers after the last delay."""
    await system.publish_raw(
        json.dumps({"command_id": command_id, "run_id": 404}).encode(),
        message_id=command_id,
        type=CANCEL_TYPE,
        user_id=URL(system.amqp_url).user,
        headers={
            "x-attempt": len(RETRY_DELAYS) + 1,
            "x-first-failure": first_failure,
            **headers,
        },
    )


async def letters_of(system: System, command_id: str) -> list[Any]:
    return await system.database.fetch(
        "SELECT * FROM dead_letters WHERE command_id = $1::text::uuid", command_id
    )


async def test_copies_of_one_message_are_one_dead_letter(system: System) -> None:
    # One keeper per worker: they may meet over the same command.
    workers = [await system.worker(host, keep_dead_letters="true") for host in ("a", "b")]
    command_id = str(uuid4())

    for first_failure in (FIRST, SECOND) * 20:
        await in_last_retry(system, command_id, first_failure)
    await all_kept(workers, 40)

    assert len(await letters_of(system, command_id)) == 1


async def test_a_command_that_fails_again_after_its_replay_is_another_letter(
    system: System,
) -> None:
    worker = await system.worker(keep_dead_letters="true")
    command_id = str(uuid4())
    await in_last_retry(system, command_id, FIRST)
    await all_kept([worker], 1)
    await system.database.execute("UPDATE dead_letters SET state = 'replayed'")

    await in_last_retry(system, command_id, SECOND)
    await all_kept([worker], 2)

    letters = await letters_of(system, command_id)
    assert sorted(letter["state"] for letter in letters) == ["replayed", "waiting"]


async def test_a_replay_that_fails_before_it_is_marked_is_another_letter(system: System) -> None:
    worker = await system.worker(keep_dead_letters="true")
    command_id = str(uuid4())
    await in_last_retry(system, command_id, FIRST)
    await all_kept([worker], 1)
    (letter,) = await letters_of(system, command_id)

    await in_last_retry(system, command_id, SECOND, **{"x-replay-of": letter["letter_id"]})
    await all_kept([worker], 2)

    assert len(await letters_of(system, command_id)) == 2


async def all_kept(workers: list[Program], count: int) -> None:
    """Wait until these workers' keepers have settled so many letters between them."""
    await eventually(lambda: sum(map(kept_by, workers)), lambda kept: kept >= count)


def kept_by(worker: Program) -> int:
    return sum(e["count"] for e in worker.events if e["event"] == "dead_letters_kept")
