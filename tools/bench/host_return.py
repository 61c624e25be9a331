"""How long a worker takes for the commands that waited for its host."""

from collections.abc import Callable
from time import time
from typing import Final

from tools.bench.programs import seconds_of
from tools.bench.system import BenchSystem
from tools.errors import ToolError

_ARE_SETTLED: Final = """
    SELECT NOT EXISTS (SELECT FROM cancellations
                        WHERE outcome IS NULL AND run_id BETWEEN $1 AND $2)
"""
_CANCELED: Final = """
    SELECT count(*) FROM cancellations WHERE outcome = 'canceled' AND run_id BETWEEN $1 AND $2
"""


async def return_of(
    system: BenchSystem, run_ids: range, commands: int, begun: Callable[[], None] = lambda: None
) -> tuple[float, float]:
    """Start the worker, and wait for the last outcome: when its work began and ended, by time.

    `begun` is called when the worker runs.
    """
    worker = await system.start_worker()
    begun()
    # Postgres is connected, and nothing of the host was looked at yet.
    began = seconds_of(await worker.event("worker_privileges"))
    await system.until(_ARE_SETTLED, run_ids[0], run_ids[-1], every=0.02)
    ended = time()
    done = await system.database.fetchval(_CANCELED, run_ids[0], run_ids[-1])
    if done != commands:
        raise ToolError(f"{done} of {commands} commands that waited ended as canceled")
    return began, ended
