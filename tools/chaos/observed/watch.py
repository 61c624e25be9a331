"""Looks, all the time, whether a run that is `canceled` is as dead as it says.

At the end of a round it would be too late: a process that outlived its cancel by a second is gone.
"""

import asyncio
from contextlib import suppress
from typing import Final

from tools.chaos.driver.rows import AWAY
from tools.chaos.faults import Scene
from tools.chaos.observed.processes import all_processes

_PAUSE: Final = 0.3
_NEWLY_CANCELED: Final = """
    SELECT t.place, t.run_id FROM run_transitions t
     WHERE t.place > $1 AND t.after ->> 'status' = 'canceled'
       AND t.before ->> 'status' <> 'canceled'
     ORDER BY t.place
"""


async def watch(scene: Scene) -> None:
    """Note each process that lives while its run's row says `canceled`. Runs until canceled."""
    last = 0
    journal = scene.system.journal
    while True:
        await asyncio.sleep(_PAUSE)
        with suppress(*AWAY):
            rows = await scene.runs.database.fetch(_NEWLY_CANCELED, last)
            if not rows:
                continue
            # Off the loop: the proxies are on it.
            processes = await asyncio.to_thread(all_processes)
            for row in rows:
                last = row["place"]
                mark = scene.runs.mark_of(row["run_id"])
                alive = [process.pid for process in processes if mark in process.words]
                journal.write("canceled_seen", run_id=row["run_id"], alive=alive)
