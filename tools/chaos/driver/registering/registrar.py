"""Registers runs until it is known what became of them, and writes down each attempt."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import Final

import asyncpg

from tools.chaos.driver.attempts import GIVE_UP_SECONDS, repeated
from tools.chaos.driver.journal import Journal
from tools.chaos.driver.registering.asked import Asked
from tools.chaos.driver.registering.ways import UNSURE, Direct, Message, Post, Put, Told, Way
from tools.chaos.driver.rows import AWAY

_PAUSE: Final = 0.1
_ON_RECORD: Final = "SELECT count(*) FROM runs WHERE run_id = ANY ($1::bigint[])"


class Registrar:
    def __init__(
        self,
        direct: Direct,
        put: Put,
        post: Post,
        message: Message,
        database: "asyncpg.Pool[asyncpg.Record]",
        journal: Journal,
    ) -> None:
        self.post = post
        self.message = message
        self.of_outside: tuple[Way, ...] = (put, post, message)
        """Those that take what is invalid."""
        self._ways = (direct, *self.of_outside)
        self._database = database
        self._journal = journal

    def way(self, random: Random) -> Way:
        return random.choice(self._ways)

    async def register(self, asked: Sequence[Asked], random: Random, way: Way) -> None:
        """Attempt it until each result is known. With a message, that is the confirm alone."""

        async def once() -> bool | None:
            began = datetime.now(UTC).timestamp()
            told = await way(asked, random)
            for each, result in zip(asked, told, strict=True):
                self._journal.write(
                    "registration",
                    way=way.name,
                    run_id=each.run_id,
                    options=each.options,
                    is_valid=each.is_valid,
                    began=began,
                    result=result,
                )
            return not UNSURE & {Told(it) for it in told if it in set(Told)} or None

        await repeated(once, random)

    async def until_on_record(self, run_ids: Sequence[int]) -> None:
        """Wait until all of these runs are on record; not for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GIVE_UP_SECONDS):
                while not await self._are_on_record(run_ids):
                    await asyncio.sleep(_PAUSE)

    async def _are_on_record(self, run_ids: Sequence[int]) -> bool:
        with suppress(*AWAY):
            return bool(await self._database.fetchval(_ON_RECORD, run_ids) == len(run_ids))
        return False
