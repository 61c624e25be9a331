"""Runs locked for a decision, and decisions written. Each runs in the caller's transaction."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from asyncpg import Record

from shared.postgres import sql
from shared.postgres.database import Connection, Database
from shared.runs import Run
from shared.states import Outcome, RunStatus
from worker.decisions.rows import Row, Rule
from worker.decisions.verdict import Situation, asked_grace
from worker.messages.request import Request

_OVER: Final = (RunStatus.PASS, RunStatus.FAIL, RunStatus.CANCELED)


@dataclass(frozen=True, slots=True)
class RecordedStop:
    """A run whose stop is on record as begun, and its grace period in seconds."""

    run: Run
    grace: float


async def lock_runs(
    connection: Connection, requests: Sequence[Request], host: str, *, waits: bool
) -> dict[UUID, Situation]:
    """Lock the runs of these commands, one command per run, for the worker on `host`.

    The result has no entry for runs that do not exist and, unless it `waits`, for runs that another
    transaction has locked.
    """
    query = sql.decisions.LOCK_RUNS if waits else sql.decisions.LOCK_FREE_RUNS
    rows = await _fetch(connection, query, requests, host)
    # If this waited for the lock, or there was a commit in between, the run is current but the
    # commands are not (READ COMMITTED rereads the locked row, but not the joined ones). The write
    # detects outcomes. But whether another command is open, and whether a stop continues, needs a
    # second query.
    again = [
        each
        for each in requests
        if (row := rows.get(each.command.command_id)) is not None
        and row["command_outcome"] in (None, Outcome.STOP_FAILED)
        and _may_be_stopping(row)
    ]
    if again:
        rows |= await _fetch(connection, sql.decisions.LOCK_RUNS, again, host)
    return {command_id: _situation(row) for command_id, row in rows.items()}


async def of_unknown_runs(connection: Connection, requests: Sequence[Request]) -> list[Request]:
    """The commands whose runs do not exist.

    Call this after the lock, so that runs committed in between are found.
    """
    if not requests:
        return []
    run_ids = [each.command.run_id for each in requests]
    known = {row["run_id"] for row in await connection.fetch(sql.decisions.KNOWN_RUNS, run_ids)}
    return [each for each in requests if each.command.run_id not in known]


async def _fetch(
    connection: Connection, query: str, requests: Sequence[Request], host: str
) -> dict[UUID, Record]:
    rows = await connection.fetch(
        query,
        [each.command.command_id for each in requests],
        [each.command.run_id for each in requests],
        [each.command.force for each in requests],
        host,
    )
    return {row["asked_by"]: row for row in rows}


def _situation(row: Record) -> Situation:
    return Situation(
        run=Run.from_record(
            row, with_process=row["status"] not in _OVER or row["left_behind"] is not None
        ),
        host_abandoned=row["host_abandoned"],
        grace_left=row["grace_left"],
        is_asked_for=bool(row["is_asked_for"]),
        command_run_id=row["command_run_id"],
        command_outcome=Outcome(row["command_outcome"]) if row["command_outcome"] else None,
    )


def _may_be_stopping(row: Record) -> bool:
    if row["status"] in (RunStatus.PASS, RunStatus.FAIL):
        return row["left_behind"] is not None
    return row["status"] in (RunStatus.CANCELING, RunStatus.ERROR)


async def plan_left_behind(connection: Connection, run_id: int, grace: float) -> None:
    """Set the deadline of the stop of what a finished run has left behind, in `grace` seconds."""
    await connection.execute(sql.runs.BEGIN_STOP_OF_LEFT_BEHIND, run_id, grace)


async def record(connection: Connection, rows: Iterable[Row], *, taking_up: bool) -> set[UUID]:
    """Write `rows`, and return the ids of the commands that were written.

    Commands that already have an outcome, or belong to another run, are not written. With
    `taking_up`, each one counts as taken up once more.
    """
    rows = list(rows)
    written = await connection.fetch(
        sql.decisions.RECORD,
        *_columns([row.request for row in rows], [row.outcome is None for row in rows]),
        [row.outcome for row in rows],
        [row.evidence for row in rows],
        [row.new_grace for row in rows],
        [row.ends_grace for row in rows],
        int(taking_up),
    )
    return {row["command_id"] for row in written}


async def decide_plain(
    database: Database,
    requests: Sequence[Request],
    rules: Iterable[Rule],
    host: str,
    default_grace: float,
    *,
    runs_here: Callable[[int], bool],
) -> dict[UUID, Outcome | RecordedStop]:
    """Decide on new commands for which the run's status is enough, without waiting for locks.

    `rules` has the outcomes by status. Runs that are running on `host` are included if `runs_here`
    says so. `default_grace` is in seconds. After ServiceUnavailable, the result is unknown.
    """
    rules = list(rules)
    rows = await database.fetch(
        sql.decisions.DECIDE_PLAIN,
        *_columns(requests, [runs_here(each.command.run_id) for each in requests]),
        [rule.status for rule in rules],
        [rule.outcome for rule in rules],
        [rule.evidence for rule in rules],
        host,
        [asked_grace(each.command) for each in requests],
        default_grace,
    )
    return {
        row["command_id"]: Outcome(row["outcome"])
        if row["outcome"]
        else RecordedStop(Run.from_record(row), row["new_grace"])
        for row in rows
    }


def _columns(requests: Sequence[Request], with_message: Iterable[bool]) -> Sequence[list[object]]:
    """The commands and, for some, their messages, as parameters of the statements."""
    commands = [each.command for each in requests]
    messages = [
        each.original.header_and_body() if wanted and each.original is not None else (None, None)
        for each, wanted in zip(requests, with_message, strict=True)
    ]
    return (
        [command.command_id for command in commands],
        [command.run_id for command in commands],
        [each.origin.via for each in requests],
        [each.origin.publisher for each in requests],
        [command.requested_by for command in commands],
        [command.reason for command in commands],
        [command.force for command in commands],
        [command.grace_seconds for command in commands],
        [command.requested_at for command in commands],
        [json.dumps(dict(faults)) if (faults := each.origin.faults) else "{}" for each in requests],
        [reply.reply_to if (reply := each.origin.reply) else None for each in requests],
        [reply.correlation_id if (reply := each.origin.reply) else None for each in requests],
        [header for header, _ in messages],
        [body for _, body in messages],
    )
