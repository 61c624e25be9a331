"""After the load: wait until nothing is under way any more, or say what still is."""

import asyncio
from typing import Final

from tools.chaos.driver import journal
from tools.chaos.driver.rows import AWAY
from tools.chaos.faults import Scene
from tools.chaos.observed.queues import depths

_PAUSE: Final = 0.5

_UNDER_WAY: Final = """
    SELECT 'open commands' AS what, count(*) AS many FROM cancellations WHERE outcome IS NULL
    UNION ALL
    SELECT 'runs ' || status, count(*)
      FROM runs
     WHERE status = 'running'
        OR status = 'canceling' AND NOT EXISTS (
               SELECT FROM cancellations c
                WHERE c.run_id = runs.run_id AND c.outcome = 'stop_failed'
           )
     GROUP BY 1
    UNION ALL
    SELECT 'events in the outbox', count(*) FROM outbox
"""
_LATE: Final = """
    UNION ALL
    SELECT 'runs to expire', count(*) FROM runs
     WHERE status = 'queued' AND start_before < clock_timestamp()
"""
_ANSWERED: Final = """
    SELECT reason FROM cancellations WHERE reason IS NOT NULL
    UNION ALL SELECT command_id::text FROM cancellations
    UNION ALL SELECT correlation_id FROM dead_letters WHERE correlation_id IS NOT NULL
    UNION ALL SELECT command_id::text FROM dead_letters WHERE command_id IS NOT NULL
"""


async def settle(scene: Scene, seconds: float) -> list[str]:
    """Bring everything back and wait, for so long; what is under way even then."""
    await scene.system.restore()
    scene.runs.drain()
    end = asyncio.get_running_loop().time() + seconds
    while left := await _left(scene):
        if asyncio.get_running_loop().time() > end:
            break
        await asyncio.sleep(_PAUSE)
    return left


async def _left(scene: Scene) -> list[str]:
    database = scene.runs.database
    try:
        rows = await database.fetch(_UNDER_WAY + _LATE)
        answered = {row["reason"] for row in await database.fetch(_ANSWERED)}
    except AWAY as error:
        return [f"Postgres: {error}"]
    left = [f"{row['many']} {row['what']}" for row in rows if row["many"]]
    if scene.runs.live_count:
        left.append(f"{scene.runs.live_count} launchers")
    if missing := _accepted(scene) - answered:
        left.append(f"{len(missing)} accepted commands without an outcome")
    if left:
        return left
    # Only now: asking the broker costs more than asking Postgres.
    messages = await depths(scene.system.servers)
    return [f"{count} messages in {queue}" for queue, count in messages.items() if count]


def _accepted(scene: Scene) -> set[str]:
    entries = journal.read(scene.system.journal.path)
    requests = {e["request_id"] for e in entries if e["kind"] == "request" and e["status"] == 202}
    published = {
        e["command_id"] for e in entries if e["kind"] == "publish" and e["result"] == "confirmed"
    }
    of_many = {
        result["command_id"]
        for e in entries
        if e["kind"] == "bulk"
        for result in e["results"]
        if result["status"] in ("accepted", "no_op")
    }
    return requests | published | of_many
