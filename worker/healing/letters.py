"""Dead letters that were kept, and undone."""

from collections.abc import Sequence
from typing import Final

from shared.postgres import sql
from shared.postgres.database import Database
from worker.dead_letters.keeping.keeper import Keeper
from worker.memory.recent import batches

_BATCH: Final = 200


class Letters:
    def __init__(self, database: Database, keeper: Keeper) -> None:
        self._database = database
        self._keeper = keeper

    async def keep_again(self) -> Sequence[str]:
        """Keep again the letters that are not on record. Their keys."""
        again = []
        for batch in batches(self._keeper.kept.items(), _BATCH):
            keys = [key for key, _ in batch]
            rows = await self._database.fetch(sql.healing.KNOWN_LETTERS, keys)
            known = {row["letter_key"] for row in rows}
            missing = [letter for key, letter in batch if key not in known]
            if missing:
                await self._keeper.keep(missing)
                again += [letter.letter_key for letter in missing]
        return again
