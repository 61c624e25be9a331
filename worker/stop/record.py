"""Records the results of stops.

All but `record_canceled_unless_locked` runs in the caller's transaction.
"""

import json
from collections.abc import Mapping, Sequence
from uuid import UUID

from shared.postgres import sql
from shared.postgres.database import Connection, Database
from shared.runs import Run
from shared.states import Outcome, RunStatus
from worker.evidence import Evidence, out_of_sight
from worker.processes.identity import pid_namespace


async def record_canceled_unless_locked(
    database: Database, stopped: Sequence[tuple[int, UUID, Evidence]]
) -> list[bool]:
    """Record runs of which these launches are proved gone, and close their commands.

    The result is False for a run that is no longer `canceling`, has another launch, or is locked by
    another transaction. After ServiceUnavailable, the result is unknown.
    """
    rows = await database.fetch(
        sql.endings.RECORD_CANCELED,
        [run_id for run_id, _, _ in stopped],
        [json.dumps(evidence.as_json()) for _, _, evidence in stopped],
        [launch_id for _, launch_id, _ in stopped],
    )
    recorded = {row["run_id"] for row in rows}
    return [run_id in recorded for run_id, _, _ in stopped]


async def record_canceled(
    connection: Connection, run_id: int, evidence: Evidence, launch_id: UUID | None = None
) -> bool:
    """Record a run as canceled if it was `canceling`, with its commands; whether it was.

    With `launch_id`, only if it is the run's. Waits until no other transaction has locked the run.
    """
    content = json.dumps(evidence.as_json())
    query = sql.endings.RECORD_CANCELED_WAITING
    return await connection.fetchval(query, [run_id], [content], [launch_id]) is not None


async def record_leftovers(connection: Connection, run_id: int, evidence: Evidence) -> bool:
    """Record what a stop found of a run that is over; False if it is not, or has a proof."""
    content = json.dumps(evidence.as_json())
    return await connection.fetchval(sql.runs.RECORD_LEFTOVERS, run_id, content) is not None


async def lose_out_of_sight(connection: Connection, run: Run) -> bool:
    """Record that the processes of a run cannot be seen from here; whether it was still open."""
    await lock_run(connection, run.run_id)
    namespace = pid_namespace()
    lost = await connection.fetchval(sql.runs.LOSE_RUN_OUT_OF_SIGHT, run.run_id, namespace)
    if lost is None:
        found = json.dumps({"proof": "none_container_lost", "seen_from": namespace})
        lost = await connection.fetchval(sql.runs.RECORD_LEFTOVERS, run.run_id, found)
    evidence = out_of_sight(run.process.pid_namespace if run.process else None, namespace)
    await connection.execute(
        sql.runs.CLOSE_COMMANDS, run.run_id, Outcome.NOT_PROVED, json.dumps(evidence)
    )
    return lost is not None


async def close_commands(
    connection: Connection, run_id: int, outcome: Outcome, evidence: Evidence
) -> None:
    await connection.execute(
        sql.runs.CLOSE_COMMANDS, run_id, outcome, json.dumps(evidence.as_json())
    )


async def is_undone(connection: Connection, run_id: int, launch_id: UUID) -> bool:
    """Whether, by the record, nothing of this launch was stopped and it is not over."""
    row = await connection.fetchrow(sql.runs.FIND_RUN, run_id)
    if row is None or row["launch_id"] != launch_id:
        return True
    return RunStatus(row["status"]) is RunStatus.RUNNING


async def close_over(connection: Connection, run_ids: Sequence[int]) -> None:
    """Close the open commands on those of these runs that are over."""
    await connection.execute(sql.runs.CLOSE_OVER, run_ids)


async def hand_on(connection: Connection, stops: Mapping[int, UUID]) -> None:
    """Record that a worker was stopped in order during these stops: command ids by run."""
    await connection.execute(sql.runs.HAND_ON, list(stops), list(stops.values()))


async def lock_run(connection: Connection, run_id: int) -> None:
    """Lock the run, so that its events are in the order of the changes."""
    await connection.execute(sql.runs.LOCK_RUN, run_id)
