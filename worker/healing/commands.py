"""Decisions on commands that were undone."""

from collections.abc import AsyncIterator, Sequence
from typing import Final
from uuid import UUID

from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import RunStatus
from worker.decisions.decider import Decider
from worker.healing.each import heal_each
from worker.intake.settler import Settler
from worker.memory.memory import Decided, EndedStop, Memory
from worker.memory.recent import batches
from worker.stop.stops import Stop, Stops

_BATCH: Final = 500


class Commands:
    def __init__(
        self, database: Database, memory: Memory, settler: Settler, decider: Decider, stops: Stops
    ) -> None:
        self._database = database
        self._memory = memory
        self._settler = settler
        self._decider = decider
        self._stops = stops

    async def cancel_queued_again(self) -> Sequence[object]:
        """Decide again, in batches, on the commands that canceled a queued run. Their ids.

        Those that need more are left to `decide_again`: they may have to wait for RabbitMQ, and
        what comes after this must not.
        """
        commands = self._memory.commands.items()
        never_started = [each for each in commands if each[1].never_started]
        return await self._decide_again(never_started, alone=False)

    async def decide_again(self) -> Sequence[object]:
        """Decide again on all commands that are not on record. Their ids.

        Raises ServiceUnavailable and SomeNotHealed.
        """
        again = await self._decide_again(self._memory.commands.items(), alone=True)
        return again + await heal_each(self._undone_stops(), self._stop_again)

    async def _decide_again(
        self, commands: Sequence[tuple[UUID, Decided]], *, alone: bool
    ) -> list[object]:
        again: list[object] = []
        for batch in batches(commands, _BATCH):
            known = await self._known([command_id for command_id, _ in batch])
            missing = [decided for command_id, decided in batch if command_id not in known]
            if missing:
                again += await self._settler.settle_again(missing, alone=alone)
        return again

    async def _known(self, command_ids: list[UUID]) -> set[UUID]:
        rows = await self._database.fetch(sql.healing.KNOWN_COMMANDS, command_ids)
        return {row["command_id"] for row in rows}

    async def _undone_stops(self) -> AsyncIterator[EndedStop]:
        """Stops that were ended here for commands that another worker, perhaps lost, decided on."""
        for batch in batches(self._memory.stops.values(), _BATCH):
            rows = await self._database.fetch(
                sql.healing.FIND_RUNS, [ended.run.run_id for ended in batch]
            )
            running = {row["launch_id"] for row in rows if row["status"] == RunStatus.RUNNING}
            undone = [ended for ended in batch if ended.process.launch_id in running]
            known = await self._known([_id(ended) for ended in undone])
            for ended in undone:
                if _id(ended) not in known:
                    yield ended

    async def _stop_again(self, ended: EndedStop) -> UUID | None:
        if self._stops.of(ended.run.run_id) is not None:
            return None
        decision = await self._decider.decide(ended.request)
        if isinstance(decision, Stop):
            self._stops.start(decision)
        return _id(ended)


def _id(ended: EndedStop) -> UUID:
    return ended.request.command.command_id
