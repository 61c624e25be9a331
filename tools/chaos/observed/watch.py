"""Looks, all the time, whether a run that is over is as dead as it says.

At the end of a round it would be too late: a process that outlived its run by a second is gone.
"""

import asyncio
from contextlib import suppress
from typing import Final

from tools.chaos.driver.rows import AWAY
from tools.chaos.faults import Scene
from tools.chaos.observed.processes import all_processes

_PAUSE: Final = 0.3
# Canceled, or ended by itself with nothing left.
_NEWLY_DEAD: Final = """
    SELECT t.place, t.run_id, t.after ->> 'status' AS status FROM run_transitions t
     WHERE t.place > $1 AND t.before ->> 'status' <> t.after ->> 'status'
       AND (t.after ->> 'status' = 'canceled'
            OR (t.after ->> 'status' IN ('pass', 'fail')
                AND CASE WHEN t.after ->> 'left_behind' IS NULL
                    THEN t.after ->> 'leftovers' = 'stop'
                    ELSE t.after -> 'left_behind' ->> 'proof' IS NOT NULL END))
     ORDER BY t.place
"""


async def watch(scene: Scene) -> None:
    """Note each process that lives while its run's row says that none does. Runs until canceled."""
    last = 0
    journal = scene.system.journal
    while True:
        await asyncio.sleep(_PAUSE)
        with suppress(*AWAY):
            rows = await scene.runs.database.fetch(_NEWLY_DEAD, last)
            if not rows:
                continue
            # Off the loop: the proxies are on it.
            processes = await asyncio.to_thread(all_processes)
            for row in rows:
                last = row["place"]
                mark = scene.runs.mark_of(row["run_id"])
                alive = [process.pid for process in processes if mark in process.words]
                journal.write("dead_seen", run_id=row["run_id"], status=row["status"], alive=alive)
