"""Many commands decided, and many stops recorded, with one statement each.

What they mean is the same as in `worker.decision`, for the cases that are plain: a queued run is
canceled, the stop of one that runs here begins, one that is over stays as it is.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from shared import batch_queries
from shared.commands import CancelCommand
from shared.database import Database
from shared.runs import Run
from shared.states import Outcome
from worker.stop.evidence import Evidence, never_started
from worker.store import Origin

Asked = tuple[CancelCommand, Origin]


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that is `canceling` from now on, and the seconds until it is killed."""

    run: Run
    grace: float


async def decide(
    database: Database, asked: Iterable[Asked], *, host: str, default_grace: float
) -> dict[UUID, Outcome | Begun]:
    """Record those commands that can be decided like this; the others are left as they were.

    Left are those on a run that is stopped already, or runs elsewhere, or does not exist, or that
    somebody else has in hand at this moment; and repeats. At most one for each run may be asked
    for. Raises ServiceUnavailable, after which nobody knows whether they were recorded: a repeat
    finds out.
    """
    asked = list(asked)
    rows = await database.fetch(
        batch_queries.DECIDE,
        [command.command_id for command, _ in asked],
        [command.run_id for command, _ in asked],
        [origin.via for _, origin in asked],
        [origin.publisher for _, origin in asked],
        [command.requested_by for command, _ in asked],
        [command.reason for command, _ in asked],
        [command.force for command, _ in asked],
        [command.grace_seconds for command, _ in asked],
        [command.requested_at for command, _ in asked],
        json.dumps(never_started().as_json()),
        host,
        default_grace,
        [json.dumps(dict(origin.faults)) for _, origin in asked],
    )
    return {
        row["command_id"]: Outcome(row["outcome"])
        if row["outcome"]
        else Begun(Run.from_record(row), row["grace_left"])
        for row in rows
    }


def one_per_run(asked: Iterable[Asked]) -> list[Asked]:
    """The first command on each run, of those whose id comes first."""
    by_run: dict[int, Asked] = {}
    by_id: set[UUID] = set()
    for command, origin in asked:
        if command.run_id not in by_run and command.command_id not in by_id:
            by_run[command.run_id] = command, origin
        by_id.add(command.command_id)
    return list(by_run.values())


async def record_canceled(
    database: Database, stopped: Sequence[tuple[int, Evidence]]
) -> list[bool]:
    """Record runs that are proved gone, and answer their commands; for each, whether it was.

    It is not where the run is not `canceling` any more, or somebody else has it in hand. Raises
    ServiceUnavailable, after which nobody knows.
    """
    rows = await database.fetch(
        batch_queries.RECORD_CANCELED,
        [run_id for run_id, _ in stopped],
        [json.dumps(evidence.as_json()) for _, evidence in stopped],
    )
    recorded = {row["run_id"] for row in rows}
    return [run_id in recorded for run_id, _ in stopped]
