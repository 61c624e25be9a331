"""The worker's statements, with types. Each runs in the caller's transaction."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from asyncpg import Record

from shared import batch_queries, queries
from shared.commands import CancelCommand
from shared.database import Connection, Database
from shared.runs import Run, RunProcess
from shared.states import Outcome, Via
from worker.intake.asked import Asked, Origin
from worker.stop.evidence import Evidence, out_of_sight
from worker.stop.identity import pid_namespace


@dataclass(frozen=True, slots=True)
class TakenUp:
    """A command that is on record without an outcome."""

    asked: Asked
    times: int
    """How often it was taken up before."""
    message_header: bytes | None


async def record_canceled(connection: Connection, run_id: int, evidence: Evidence) -> bool:
    """Whether the run was being canceled, and is now; then its commands are answered as well."""
    content = json.dumps(evidence.as_json())
    query = batch_queries.RECORD_CANCELED_WAITING
    return await connection.fetchval(query, [run_id], [content]) is not None


async def close_commands(
    connection: Connection, run_id: int, outcome: Outcome, evidence: Evidence
) -> None:
    await connection.execute(
        queries.CLOSE_COMMANDS, run_id, outcome, json.dumps(evidence.as_json())
    )


async def close_over(connection: Connection, run_ids: Sequence[int]) -> None:
    """Answer what is open on those of these runs that are over."""
    await connection.execute(queries.CLOSE_OVER, run_ids)


async def lock(connection: Connection, run_id: int) -> None:
    """Have the run in hand, so that what is told of it is told in the order of what happened."""
    await connection.execute(queries.LOCK_LAUNCH, run_id)


async def lose_out_of_sight(connection: Connection, run: Run) -> bool:
    """Give up a run whose processes cannot be seen from here; whether it was still open."""
    await lock(connection, run.run_id)
    namespace = pid_namespace()
    lost = await connection.fetchval(queries.LOSE_RUN_OUT_OF_SIGHT, run.run_id, namespace)
    if lost is None:
        lost = await connection.fetchval(queries.CLOSE_LOSS_OUT_OF_SIGHT, run.run_id, namespace)
    evidence = out_of_sight(run.process.pid_namespace if run.process else None, namespace)
    await connection.execute(
        queries.CLOSE_COMMANDS, run.run_id, Outcome.NOT_PROVED, json.dumps(evidence)
    )
    return lost is not None


async def record_gone(
    connection: Connection, run: Run, launch_id: UUID, evidence: Evidence
) -> None:
    """Record a run that was found to be gone: canceled if it was being canceled, else lost."""
    if not await record_canceled(connection, run.run_id, evidence):
        await record_launcher_died(connection, run.run_id, launch_id)
        await record_leftovers(connection, run.run_id, evidence)
        await close_over(connection, [run.run_id])


async def open_of_other_namespaces(
    connection: Connection, host: str, boot_id: UUID, namespace: str
) -> list[Run]:
    """Runs of this boot that are not over, or of which something may be left; locked."""
    rows = await connection.fetch(queries.LIST_OPEN_OF_OTHER_NAMESPACES, host, boot_id, namespace)
    return [Run.from_record(row) for row in rows]


async def claim(connection: Connection, run_id: int, process: RunProcess) -> bool:
    claimed = await connection.fetchval(
        queries.CLAIM_RUN,
        run_id,
        process.host,
        process.boot_id,
        process.pid,
        process.start_ticks,
        process.launcher_pid,
        process.launcher_start_ticks,
        process.uid,
        process.launch_id,
        process.containment,
        process.cgroup,
        process.pid_namespace,
        process.cgroup_inode,
    )
    return claimed is not None


async def find_run(connection: Connection, run_id: int) -> Run | None:
    row = await connection.fetchrow(queries.FIND_RUN, run_id)
    return Run.from_record(row) if row else None


async def hand_on(connection: Connection, stops: Mapping[int, UUID]) -> None:
    """Say that a worker ends in good order in the middle of stops: by run, of which command."""
    await connection.execute(queries.HAND_ON, list(stops), list(stops.values()))


async def is_open(connection: Connection, command_id: UUID) -> bool:
    """Whether the command has no outcome yet."""
    found: bool = await connection.fetchval(queries.IS_OPEN, command_id)
    return found


async def to_be_done(
    database: Database,
    host: str,
    most: int,
    *,
    in_hand: Collection[int],
    in_grace: Collection[int],
    only_forced: bool,
) -> list[TakenUp]:
    """Open commands on runs of `host`, one of each, the oldest ones first.

    None on runs that are `in_hand`; and on those `in_grace` only what is forced, or only that.
    """
    rows = await database.fetch(queries.LIST_TO_BE_DONE, host, in_hand, most, in_grace, only_forced)
    return [_taken_up(row) for row in rows]


def _taken_up(row: Record) -> TakenUp:
    fields = ("run_id", "command_id", "reason", "requested_by", "requested_at", "force")
    command = CancelCommand(
        **{name: row[name] for name in fields}, grace_seconds=row["grace_seconds"]
    )
    origin = Origin(Via(row["via"]), row["publisher"], json.loads(row["faults"]))
    return TakenUp(Asked(command, origin), row["taken_up"], row["message_header"])


async def live_on(connection: Connection, host: str) -> list[Run]:
    """Runs that are running or being canceled."""
    return [Run.from_record(row) for row in await connection.fetch(queries.LIST_LIVE_ON_HOST, host)]


async def record_unreported(connection: Connection, run_id: int, launch_id: UUID) -> bool:
    """Whether that is news."""
    return await connection.fetchval(queries.RECORD_UNREPORTED, run_id, launch_id) is not None


async def unproved_on(connection: Connection, host: str, boot_id: UUID) -> list[Run]:
    """Lost runs of this boot of which something may be left."""
    rows = await connection.fetch(queries.LIST_UNPROVED_ON_HOST, host, boot_id)
    return [Run.from_record(row) for row in rows]


async def record_launcher_died(connection: Connection, run_id: int, launch_id: UUID) -> bool:
    """Whether the run is lost and processes may be left, now or since an earlier attempt."""
    await lock(connection, run_id)
    await connection.execute(queries.RECORD_LAUNCHER_DIED, run_id, launch_id)
    lost: bool = await connection.fetchval(queries.IS_UNPROVED, run_id, launch_id)
    return lost


async def record_leftovers(connection: Connection, run_id: int, evidence: Evidence) -> bool:
    """Whether there was a lost run to record that of."""
    content = json.dumps(evidence.as_json())
    return await connection.fetchval(queries.RECORD_LEFTOVERS, run_id, content) is not None
