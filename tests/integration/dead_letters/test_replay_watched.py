"""What happens to replayed letters: without anything else, in number, and without a record."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg

from shared.commands import CANCEL_TYPE
from shared.postgres import sql
from shared.postgres.database import Database
from tests.support.records.letters import dead_letters, kept
from tools.support.rows import RUNNING, insert_run
from tools.support.system import System
from worker.dead_letters import store as letter_store
from worker.dead_letters.kinds import ReplayStatus
from worker.dead_letters.replays.replay_results import ResultWatch
from worker.dead_letters.replays.replayed import replayed
from worker.dead_letters.wanted import Filter

D = TypeVar("D", bound=Database)

MANY = 2_500


async def test_without_a_worker_each_letter_says_what_it_waits_for(system: System) -> None:
    await insert_run(system.database, 1, RUNNING)
    await system.database.execute(
        "INSERT INTO hosts (host, boot_id, beat_seconds, seen_at)"
        " VALUES ($1, gen_random_uuid(), 5, '2026-01-02 03:04Z')",
        RUNNING["host"],
    )
    await system.add_run(2)
    letters = [await kept(system, run_id) for run_id in (1, 2, 3, None)]

    code, out, err = await dead_letters(system, "replay", "--all", "--wait", "0.5")

    assert (code, err) == (3, "")
    said = [line.partition(": not decided in time: ")[::2] for line in out.splitlines()[1:-1]]
    assert said == [
        (f"letter {each.letter_id}", why)
        for each, why in zip(
            letters,
            (
                "no worker has carried it out yet: run 1 is running on h1, "
                "last heartbeat at 2026-01-02 03:04:00 UTC",
                "no worker has carried it out yet: run 2 is queued",
                "run 3 is still unknown",
                "it cannot be read, and will become a dead letter again",
            ),
            strict=True,
        )
    ]


class _Counted(Database):
    """Counts how much is asked of Postgres at once, and how much it answers."""

    largest = 0
    queries = 0

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        rows = await super().fetch(query, *arguments)
        asked = [len(each) for each in arguments if isinstance(each, list)]
        self.largest = max(self.largest, len(rows), *asked, 0)
        self.queries += 1
        return rows


async def test_thousands_of_letters_are_asked_for_in_bounded_queries(system: System) -> None:
    """Of five letters in a row two are settled, two are dead again, and one is open."""
    await system.database.execute(_MANY, MANY, CANCEL_TYPE)
    async with _database(system, _Counted) as database:
        watch = await ResultWatch.create(database)
        for letter in await letter_store.next_of(database, Filter(), 0, MANY):
            watch.add(replayed(letter))
        await system.database.execute(_ANSWERS)
        database.largest = database.queries = 0

        told: list[int] = []
        results = await watch.wait(0, asyncio.Event(), told.append)

    assert Counter(each.became for each in results) == {
        ReplayStatus.SETTLED: MANY * 2 // 5,
        ReplayStatus.DEAD_AGAIN: MANY * 2 // 5,
        ReplayStatus.UNDECIDED: MANY // 5,
    }
    assert told == [MANY * 4 // 5]
    assert [each.letter_id for each in results] == sorted(each.letter_id for each in results)
    settled = [each for each in results if each.became is ReplayStatus.SETTLED]
    assert {(each.run_id or 0) % 5 for each in settled} == {0, 1}
    again = {
        each.letter_id: each.again for each in results if each.became is ReplayStatus.DEAD_AGAIN
    }
    rows = await system.database.fetch(
        "SELECT replay_of, letter_id FROM dead_letters WHERE replay_of IS NOT NULL"
    )
    assert again == {row["replay_of"]: row["letter_id"] for row in rows}
    assert 100 < database.largest <= 1_000
    assert database.queries < 20


class _Interrupting(Database):
    """Ends the wait in the middle of the first look, whose answers come just after it."""

    stop: asyncio.Event

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        rows = await super().fetch(query, *arguments)
        if query == sql.dead_letters.OUTCOMES and not self.stop.is_set():
            await super().fetch(_ANSWERS)
            self.stop.set()
        return rows


async def test_the_last_look_is_after_the_interruption(system: System) -> None:
    await kept(system, 2)
    async with _database(system, _Interrupting) as database:
        database.stop = asyncio.Event()
        watch = await ResultWatch.create(database)
        for letter in await letter_store.next_of(database, Filter(), 0, 1):
            watch.add(replayed(letter))

        (result,) = await watch.wait(600, database.stop, lambda _: None)

    assert result.became is ReplayStatus.DEAD_AGAIN


class _Settling(Database):
    """Has the command of the only letter settled just before it is asked what that waits for."""

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        if query == sql.dead_letters.WAITS_FOR:
            await super().fetch(_ANSWERS)
        return await super().fetch(query, *arguments)


async def test_what_is_settled_after_the_last_look_is_not_said_to_be_open(system: System) -> None:
    await kept(system, 5)
    async with _database(system, _Settling) as database:
        watch = await ResultWatch.create(database)
        for letter in await letter_store.next_of(database, Filter(), 0, 1):
            watch.add(replayed(letter))

        (result,) = await watch.wait(0, asyncio.Event(), lambda _: None)

    assert (result.became, result.outcome, result.why) == (ReplayStatus.SETTLED, "no_op", None)


@asynccontextmanager
async def _database(system: System, kind: type[D]) -> AsyncIterator[D]:
    pool = await asyncpg.create_pool(system.database_url, min_size=1, max_size=2)
    database = kind(pool, timeout=5)
    try:
        yield database
    finally:
        await database.close()


_MANY = """
    INSERT INTO dead_letters
           (letter_key, digest, reason, error, attempts, exchange, routing_key, via, run_id,
            command_id, message_id, type, body)
    SELECT n::text, 'x', 'unknown_run', 'unknown', 4, 'e', 'run.cancel', 'direct', n, id, id::text,
           $2, convert_to(json_build_object('command_id', id, 'run_id', n)::text, 'UTF8')
      FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(1, $1::bigint) AS n) AS made
"""
_ANSWERS = """
    WITH runs AS (
        INSERT INTO runs (run_id) SELECT run_id FROM dead_letters RETURNING run_id
    ), settled AS (
        INSERT INTO cancellations (command_id, run_id, via, force, outcome, finished_at, evidence)
        SELECT command_id, run_id, 'replay', false, 'no_op', now(), '{}'
          FROM dead_letters JOIN runs USING (run_id) WHERE run_id % 5 < 2
    )
    INSERT INTO dead_letters
           (letter_key, digest, reason, error, attempts, exchange, routing_key, via, body,
            replay_of)
    SELECT 'again ' || letter_id, digest, reason, error, 1, exchange, routing_key, 'replay', body,
           letter_id
      FROM dead_letters WHERE run_id % 5 IN (2, 3)
"""
