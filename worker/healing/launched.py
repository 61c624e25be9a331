"""Claims and ends of launches that were undone.

the run is            and the launch             what is done
unknown               was claimed                registered and claimed again
queued                was claimed                claimed again, with the time of the first claim
running               had completed              completed again, likewise
being stopped         had completed              its exit code is noted again
anything else         is another one or none     see `superseded`
"""

from collections.abc import AsyncIterator, Iterable
from typing import Final

from asyncpg import Record

from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import RunStatus
from worker.healing.containers import ParentOf, note_again
from worker.healing.each import heal_each
from worker.healing.superseded import Superseded
from worker.launches.lost_runs import LostRunWatch
from worker.launches.store import claimed
from worker.memory.memory import Claim, Completion, Memory
from worker.memory.recent import batches

_BATCH: Final = 500


class Launched:
    """The launches of this host."""

    def __init__(
        self,
        database: Database,
        memory: Memory,
        lost_run_watch: LostRunWatch,
        superseded: Superseded,
        parent_of: ParentOf,
    ) -> None:
        """`parent_of` tells where the containers of a launch are, None if it has asked for none."""
        self._parent_of = parent_of
        self._database = database
        self._memory = memory
        self._lost_run_watch = lost_run_watch
        self._superseded = superseded

    async def claim_again(self) -> list[object]:
        """Claim again the queued runs among those that were claimed. Their ids.

        Raises ServiceUnavailable and SomeNotHealed.
        """
        return await heal_each(self._claims(), self._compare_claim)

    async def _claims(self) -> AsyncIterator[tuple[Claim, Record | None]]:
        """The claims that are remembered, each with the row of its run."""
        for batch in batches(self._memory.claims.values(), _BATCH):
            rows = await self._rows(claim.run.run_id for claim in batch)
            for claim in batch:
                yield claim, rows.get(claim.run.run_id)

    async def _compare_claim(self, remembered: tuple[Claim, Record | None]) -> int | None:
        """Claim a run again if it is missing or queued; its id if that was done."""
        claim, row = remembered
        if row is not None and row["launch_id"] == claim.process.launch_id:
            await note_again(self._database, row, self._parent_of)
        elif row is None or row["status"] == RunStatus.QUEUED:
            if await self._claim_again(claim, is_known=row is not None):
                return claim.run.run_id
        elif _is_same_process(claim, row):
            self._memory.claims.forget(claim.process.launch_id)  # it has claimed once more
        else:
            self._superseded.settle(claim)
        return None

    async def _claim_again(self, claim: Claim, *, is_known: bool) -> bool:
        run, process, row = claim.run, claim.process, claim.row
        async with self._database.transaction() as connection:
            if not is_known:
                columns = (
                    *("run_id", "grace_seconds", "stop_signal", "stop_scope", "labels", "url"),
                    *("start_before", "leftovers"),
                )
                await connection.fetch(
                    sql.registrations.REGISTER, *([row[name]] for name in columns)
                )
            again = await connection.fetchval(
                sql.healing.CLAIM_AGAIN, *claimed(run.run_id, process), run.started_at
            )
        if again is None:
            return False  # somebody else was first: the next look tells
        if not self._memory.has_ended(process.launch_id):
            self._lost_run_watch.watch(run.run_id, process)
        return True

    async def complete_again(self) -> list[object]:
        """Record ends and exit codes again that were undone. The ids of the runs.

        Raises likewise.
        """
        return await heal_each(self._completions(), self._compare_completion)

    async def _completions(self) -> AsyncIterator[tuple[Completion, Record]]:
        """The completions that are remembered, each with the row of its run, if it has one."""
        for batch in batches(self._memory.completions.values(), _BATCH):
            rows = await self._rows(completion.run_id for completion in batch)
            for completion in batch:
                if (row := rows.get(completion.run_id)) is not None:
                    yield completion, row

    async def _compare_completion(self, remembered: tuple[Completion, Record]) -> int | None:
        """Record an end or an exit code that is missing; the id of the run if that was done."""
        completion, row = remembered
        return completion.run_id if await self._complete_again(completion, row) else None

    async def _complete_again(self, completion: Completion, row: Record) -> bool:
        launch = (completion.run_id, completion.launch_id)
        if row["launch_id"] != completion.launch_id:
            return False
        if row["status"] == RunStatus.RUNNING and completion.finished_at is not None:
            return bool(
                await self._database.fetch(
                    sql.healing.COMPLETE_AGAIN,
                    *launch,
                    completion.status,
                    completion.exit_code,
                    completion.left_behind,
                    completion.finished_at,
                )
            )
        if row["status"] in (RunStatus.CANCELING, RunStatus.CANCELED) and row["exit_code"] is None:
            return bool(
                await self._database.fetch(
                    sql.healing.NOTE_EXIT_CODE_AGAIN, *launch, completion.exit_code
                )
            )
        return False

    async def _rows(self, run_ids: Iterable[int]) -> dict[int, Record]:
        rows = await self._database.fetch(sql.healing.FIND_RUNS, list(run_ids))
        return {row["run_id"]: row for row in rows}


def _is_same_process(claim: Claim, row: Record) -> bool:
    process = claim.process
    own = (process.boot_id, process.pid, process.start_ticks)
    return (row["boot_id"], row["pid"], row["start_ticks"]) == own
