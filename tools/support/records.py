"""What a system has on record, waited for."""

import json
from typing import Any

import asyncpg

from shared.postgres import sql
from tools.support.program import DEADLINE
from tools.support.waiting import eventually

Json = dict[str, Any]


class Records:
    database: "asyncpg.Pool[asyncpg.Record]"

    async def dead_letter_kept(self, command_id: str) -> Json:
        """Wait until the latest dead letter of a command is in Postgres; its row."""
        query = "SELECT * FROM dead_letters WHERE command_id = $1::text::uuid ORDER BY 1 DESC"
        row = await eventually(
            lambda: self.database.fetchrow(query, command_id),
            what=f"the dead letter of command {command_id}",
        )
        assert row is not None
        return dict(row)

    async def run(self, run_id: int) -> Json:
        run = await self.run_or_none(run_id)
        assert run is not None
        return run

    async def run_or_none(self, run_id: int) -> Json | None:
        row = await self.database.fetchrow("SELECT * FROM runs WHERE run_id = $1", run_id)
        return dict(row) if row else None

    async def left_behind(self, run_id: int) -> Json:
        """Wait until it is on record that the command of the run left something behind; that."""
        run = await eventually(
            lambda: self.run(run_id),
            lambda run: run["left_behind"] is not None,
            what=f"run {run_id}",
        )
        found: Json = json.loads(run["left_behind"])
        return found

    async def cancellations(self, run_id: int) -> list[Json]:
        rows = await self.database.fetch(sql.runs.LIST_CANCELLATIONS, run_id, None)
        return [{**row, "evidence": json.loads(row["evidence"])} for row in rows]

    async def status_becomes(self, run_id: int, *wanted: str, deadline: float = DEADLINE) -> Json:
        """Wait until the run has one of the `wanted` states; its row."""
        return await eventually(
            lambda: self.run(run_id),
            lambda run: run["status"] in wanted,
            what=f"run {run_id}",
            deadline=deadline,
        )

    async def outcome_of(self, command_id: str, deadline: float = DEADLINE) -> Json:
        """Wait until the command has an outcome; its row."""
        query = "SELECT * FROM cancellations WHERE command_id = $1::text::uuid"
        row = await eventually(
            lambda: self.database.fetchrow(query, command_id),
            lambda row: row is not None and row["outcome"] is not None,
            what=f"command {command_id}",
            deadline=deadline,
        )
        assert row is not None
        return {**row, "evidence": json.loads(row["evidence"])}
