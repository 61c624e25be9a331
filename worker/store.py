"""The worker's statements, with types. Each runs in the caller's transaction."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from shared import queries
from shared.commands import CancelCommand
from shared.database import Connection
from shared.runs import Run, RunProcess
from shared.states import Outcome, RunStatus, Via
from worker.decision import CommandReused, Situation
from worker.stop.evidence import Evidence, out_of_sight
from worker.stop.identity import pid_namespace

# No command that was decided on leaves its run in one of these.
_UNDECIDED: Final = (RunStatus.QUEUED, RunStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class Origin:
    """How a command came in. `publisher` is the broker user, where the broker checked it.

    `faults` is what was wrong with its information, by field.
    """

    via: Via
    publisher: str | None = None
    faults: Mapping[str, str] = field(default_factory=dict)


Recorded = tuple[CancelCommand, Origin]


async def lock_run(connection: Connection, command: CancelCommand) -> Situation | None:
    row = await connection.fetchrow(
        queries.LOCK_RUN, command.run_id, command.command_id, command.force
    )
    if (
        row is not None
        and row["command_outcome"] in (None, Outcome.STOP_FAILED)
        and row["status"] not in _UNDECIDED
    ):
        # Where the lock had to be waited for, this has the run as it is now, but the command as
        # it was before (READ COMMITTED looks again at the row that it locks, not at those that
        # are joined to it): another worker may just have decided on it.
        row = await connection.fetchrow(
            queries.LOCK_RUN, command.run_id, command.command_id, command.force
        )
    if row is None:
        return None
    return Situation(
        run=Run.from_record(row),
        host_abandoned=row["host_abandoned"],
        grace_left=row["grace_left"],
        is_asked_for=row["is_asked_for"],
        command_run_id=row["command_run_id"],
        command_outcome=Outcome(row["command_outcome"]) if row["command_outcome"] else None,
    )


async def cancel_queued(connection: Connection, run_id: int) -> bool:
    return await connection.fetchval(queries.CANCEL_QUEUED, run_id) is not None


async def begin_stop(connection: Connection, run_id: int, grace: float) -> bool:
    return await connection.fetchval(queries.BEGIN_STOP, run_id, grace) is not None


async def escalate_stop(connection: Connection, run_id: int) -> bool:
    """Whether that ends its grace period earlier."""
    return await connection.fetchval(queries.ESCALATE_STOP, run_id) is not None


async def record_canceled(connection: Connection, run_id: int, evidence: Evidence) -> bool:
    canceled = await connection.fetchval(queries.RECORD_CANCELED, run_id, evidence.proof)
    return canceled is not None


async def record_command(
    connection: Connection,
    command: CancelCommand,
    origin: Origin,
    outcome: Outcome | None,
    evidence: dict[str, object],
) -> None:
    """Raises CommandReused, which must undo the transaction."""
    recorded = await connection.fetchval(
        queries.RECORD_COMMAND,
        command.command_id,
        command.run_id,
        origin.via,
        origin.publisher,
        command.requested_by,
        command.reason,
        command.force,
        command.grace_seconds,
        command.requested_at,
        outcome,
        json.dumps(evidence),
        json.dumps(dict(origin.faults)),
    )
    # A finished row is never written again, so it is another run's, decided at the same time.
    if recorded is None:
        raise CommandReused(command.command_id)


async def close_commands(
    connection: Connection, run_id: int, outcome: Outcome, evidence: Evidence
) -> None:
    await connection.execute(
        queries.CLOSE_COMMANDS, run_id, outcome, json.dumps(evidence.as_json())
    )


async def close_over(connection: Connection, run_ids: Sequence[int]) -> None:
    """Answer what is open on those of these runs that are over."""
    await connection.execute(queries.CLOSE_OVER, run_ids)


async def count_taken_up(connection: Connection, command_id: UUID) -> int:
    """How often the command was taken up, this time included; 0 if it is not open any more."""
    return await connection.fetchval(queries.COUNT_TAKEN_UP, command_id) or 0


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
    if await record_canceled(connection, run.run_id, evidence):
        await close_commands(connection, run.run_id, Outcome.CANCELED, evidence)
    else:
        await record_launcher_died(connection, run.run_id, launch_id)
        await record_leftovers(connection, run.run_id, evidence)


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


async def open_runs_of(connection: Connection, host: str, most: int) -> list[int]:
    """Runs of `host` with a command that has no outcome yet, those of the oldest ones first."""
    rows = await connection.fetch(queries.LIST_OPEN_RUNS_OF_HOST, host, most)
    return [row["run_id"] for row in rows]


async def oldest_open(connection: Connection, run_id: int) -> Recorded | None:
    """The oldest command on the run that has no outcome yet."""
    row = await connection.fetchrow(queries.FIND_OLDEST_OPEN, run_id)
    if row is None:
        return None
    fields = ("run_id", "command_id", "reason", "requested_by", "requested_at", "force")
    command = CancelCommand(
        **{name: row[name] for name in fields}, grace_seconds=row["grace_seconds"]
    )
    return command, Origin(Via(row["via"]), row["publisher"], json.loads(row["faults"]))


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
    """Whether the run is lost and something of it may be left, now or since an earlier attempt."""
    await lock(connection, run_id)
    await connection.execute(queries.RECORD_LAUNCHER_DIED, run_id, launch_id)
    lost: bool = await connection.fetchval(queries.IS_UNPROVED, run_id, launch_id)
    return lost


async def record_leftovers(connection: Connection, run_id: int, evidence: Evidence) -> bool:
    """Whether there was a lost run to record that of."""
    content = json.dumps(evidence.as_json())
    return await connection.fetchval(queries.RECORD_LEFTOVERS, run_id, content) is not None
