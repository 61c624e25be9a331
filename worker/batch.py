"""Many commands on runs that nothing runs of, decided and recorded with one statement.

What they mean is the same as in `worker.decision`, for the cases that take no process: a queued run
is canceled, one that is over stays as it is.
"""

import json
from collections.abc import Iterable
from uuid import UUID

from shared import queries
from shared.commands import CancelCommand
from shared.database import Database
from shared.states import Outcome
from worker.stop.evidence import never_started
from worker.store import Origin

Asked = tuple[CancelCommand, Origin]


async def settle(database: Database, asked: Iterable[Asked]) -> dict[UUID, Outcome]:
    """Record those commands that can be settled like this; the others are left as they were.

    Left are those on a run with processes, or that does not exist, or that somebody else has in
    hand at this moment; repeats; and all but the first on the same run. Raises ServiceUnavailable,
    after which nobody knows whether they were recorded: a repeat finds out.
    """
    chosen = _one_per_run(asked)
    async with database.connection() as connection:
        rows = await connection.fetch(
            queries.SETTLE_BATCH,
            [command.command_id for command, _ in chosen],
            [command.run_id for command, _ in chosen],
            [origin.via for _, origin in chosen],
            [origin.publisher for _, origin in chosen],
            [command.requested_by for command, _ in chosen],
            [command.reason for command, _ in chosen],
            [command.force for command, _ in chosen],
            [command.grace_seconds for command, _ in chosen],
            [command.requested_at for command, _ in chosen],
            json.dumps(never_started().as_json()),
        )
    return {row["command_id"]: Outcome(row["outcome"]) for row in rows}


def _one_per_run(asked: Iterable[Asked]) -> list[Asked]:
    by_run: dict[int, Asked] = {}
    by_id: set[UUID] = set()
    for command, origin in asked:
        if command.run_id not in by_run and command.command_id not in by_id:
            by_run[command.run_id] = command, origin
        by_id.add(command.command_id)
    return list(by_run.values())
