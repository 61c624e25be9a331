"""Registrations by message that were undone."""

from collections.abc import Sequence
from typing import Final

from shared.postgres import sql
from shared.postgres.database import Database
from worker.memory.memory import Memory
from worker.memory.recent import batches
from worker.registering.settler import RegistrationSettler

_BATCH: Final = 500


class Registrations:
    def __init__(self, database: Database, memory: Memory, settler: RegistrationSettler) -> None:
        self._database = database
        self._memory = memory
        self._settler = settler

    async def register_again(self) -> Sequence[int]:
        """Register again the runs that are not on record. Their ids."""
        again = []
        for batch in batches(self._memory.registrations.items(), _BATCH):
            run_ids = [run_id for run_id, _ in batch]
            rows = await self._database.fetch(sql.decisions.KNOWN_RUNS, run_ids)
            known = {row["run_id"] for row in rows}
            missing = [(run_id, message) for run_id, message in batch if run_id not in known]
            if not missing:
                continue
            for unsettled in await self._settler.settle([message for _, message in missing]):
                if unsettled is not None:
                    await self._settler.settle_alone(unsettled)
            again += [run_id for run_id, _ in missing]
        return again
