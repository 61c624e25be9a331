"""Many stops recorded with one statement."""

import json
from collections.abc import Sequence

from shared.postgres.database import Database
from shared.postgres.sql import endings as batch_queries
from worker.stop.evidence import Evidence


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
