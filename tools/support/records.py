"""What a system has on record, waited for."""

import asyncio
import json
from time import monotonic
from typing import Any

import asyncpg

from shared.postgres import sql
from tools.support.program import DEADLINE

Json = dict[str, Any]


class Records:
    database: "asyncpg.Pool[asyncpg.Record]"

    async def dead_letter_kept(self, command_id: str) -> Json:
        """Wait until the latest dead letter of a command is in Postgres; its row."""
        query = "SELECT * FROM dead_letters WHERE command_id = $1::text::uuid ORDER BY 1 DESC"
        end = monotonic() + DEADLINE
        while (row := await self.database.fetchrow(query, command_id)) is None:
            assert monotonic() < end, f"command {command_id} is no dead letter"
            await asyncio.sleep(0.01)
        return dict(row)

    async def run(self, run_id: int) -> Json:
        row = await self.database.fetchrow("SELECT * FROM runs WHERE run_id = $1", run_id)
        assert row is not None
        return dict(row)

    async def cancellations(self, run_id: int) -> list[Json]:
        rows = await self.database.fetch(sql.runs.LIST_CANCELLATIONS, run_id)
        return [{**row, "evidence": json.loads(row["evidence"])} for row in rows]

    async def status_becomes(self, run_id: int, *wanted: str, deadline: float = DEADLINE) -> Json:
        """Wait until the run has one of the `wanted` states; its row."""
        end = monotonic() + deadline
        while (run := await self.run(run_id))["status"] not in wanted:
            assert monotonic() < end, f"run {run_id} stays {run['status']}, not {wanted}"
            await asyncio.sleep(0.01)
        return run

    async def outcome_of(self, command_id: str, deadline: float = DEADLINE) -> Json:
        """Wait until the command has an outcome; its row."""
        end = monotonic() + deadline
        while True:
            row = await self.database.fetchrow(
                "SELECT * FROM cancellations WHERE command_id = $1::text::uuid", command_id
            )
            if row is not None and row["outcome"] is not None:
                return {**row, "evidence": json.loads(row["evidence"])}
            assert monotonic() < end, f"command {command_id} has no outcome: {row}"
            await asyncio.sleep(0.01)
