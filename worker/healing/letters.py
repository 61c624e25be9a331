"""Dead letters that were kept, and undone."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from shared.postgres import sql
from shared.postgres.database import Database
from worker.dead_letters.keeping.keeper import Keeper
from worker.dead_letters.keeping.letter import Letter
from worker.healing.each import heal_each
from worker.memory.recent import batches

_BATCH: Final = 200


class Letters:
    def __init__(self, database: Database, keeper: Keeper) -> None:
        self._database = database
        self._keeper = keeper

    async def keep_again(self) -> Sequence[object]:
        """Keep again the letters that are not on record. Their keys.

        Raises ServiceUnavailable and SomeNotHealed.
        """
        return await heal_each(self._missing(), self._keep)

    async def _missing(self) -> AsyncIterator[Letter]:
        for batch in batches(self._keeper.kept.items(), _BATCH):
            keys = [key for key, _ in batch]
            rows = await self._database.fetch(sql.healing.KNOWN_LETTERS, keys)
            known = {row["letter_key"] for row in rows}
            for key, letter in batch:
                if key not in known:
                    yield letter

    async def _keep(self, letter: Letter) -> str:
        await self._keeper.keep([letter])
        return letter.letter_key
