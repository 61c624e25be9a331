"""The bench's triggers without events do all else that the product's do."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tools.bench.telling import Telling

ADD = 'INSERT INTO runs (run_id, labels) VALUES ($1, \'{"branch": "main"}\')'
CANCEL = """
    UPDATE runs SET status = 'canceled', finished_at = now(), proof = 'never_started'
     WHERE run_id = $1
"""
COMMAND = """
    INSERT INTO cancellations (command_id, run_id, via, force, outcome, finished_at, evidence)
    VALUES (gen_random_uuid(), $1, 'rest', false, $2::text,
            CASE WHEN $2::text IS NOT NULL THEN now() END, '{}')
"""
FAIL = """
    UPDATE cancellations SET outcome = 'stop_failed', finished_at = now() WHERE run_id = $1
"""
LETTER = """
    INSERT INTO dead_letters (letter_key, digest, reason, error, attempts, exchange, routing_key,
                              via, body)
    VALUES (gen_random_uuid(), '', 'malformed', 'no JSON', 1, '', '', 'direct', '')
"""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool:
        yield pool


async def _everything(database: "asyncpg.Pool[asyncpg.Record]", run_id: int) -> None:
    """A run that is canceled with one open command and one settled, and a failed stop."""
    await database.execute(ADD, run_id)
    await database.execute(COMMAND, run_id, None)
    await database.execute(CANCEL, run_id)
    await database.execute(COMMAND, run_id, "no_op")
    await database.execute(ADD, run_id + 1)
    await database.execute(COMMAND, run_id + 1, None)
    await database.execute(FAIL, run_id + 1)
    await database.execute(LETTER)


async def _told(database: "asyncpg.Pool[asyncpg.Record]") -> list[str]:
    rows = await database.fetch("DELETE FROM outbox RETURNING type")
    return sorted(row["type"] for row in rows)


async def test_events_are_off_and_on_again(database: "asyncpg.Pool[asyncpg.Record]") -> None:
    telling = Telling(database)
    await telling.remember()

    await telling.turn(on=False)
    await _everything(database, 1)
    assert await _told(database) == ["dead_letter"]
    outcomes = await database.fetch("SELECT run_id, outcome FROM cancellations ORDER BY run_id")
    assert [tuple(row) for row in outcomes] == [(1, "no_op"), (1, "no_op"), (2, "stop_failed")]
    labels = await database.fetch("SELECT label, run_id FROM run_labels ORDER BY run_id")
    assert [tuple(row) for row in labels] == [("branch:main", 1), ("branch:main", 2)]

    await telling.turn(on=True)
    await _everything(database, 3)
    assert await _told(database) == [
        "cancel.rejected",
        *3 * ["cancel.settled"],
        "dead_letter",
        "run.finished",
        *2 * ["run.registered"],
    ]
