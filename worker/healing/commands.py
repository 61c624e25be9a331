"""Decisions on commands that were undone."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import RunStatus
from worker.decisions.decider import Decider
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

    async def cancel_queued_again(self) -> Sequence[UUID]:
        """Decide again on the commands that canceled a queued run. Their ids."""
        commands = self._memory.commands.items()
        return await self._decide_again([each for each in commands if each[1].never_started])

    async def decide_again(self) -> Sequence[UUID]:
        """Decide again on all commands that are not on record. Their ids."""
        again = await self._decide_again(self._memory.commands.items())
        return again + await self._stopped_again()

    async def _decide_again(self, commands: Sequence[tuple[UUID, Decided]]) -> list[UUID]:
        again: list[UUID] = []
        for batch in batches(commands, _BATCH):
            known = await self._known([command_id for command_id, _ in batch])
            missing = [each for each in batch if each[0] not in known]
            if missing:
                await self._settler.settle_again([decided for _, decided in missing])
                again += [command_id for command_id, _ in missing]
        return again

    async def _known(self, command_ids: list[UUID]) -> set[UUID]:
        rows = await self._database.fetch(sql.healing.KNOWN_COMMANDS, command_ids)
        return {row["command_id"] for row in rows}

    async def _stopped_again(self) -> list[UUID]:
        """Stops that were ended here for commands that another worker, perhaps lost, decided on."""
        again = []
        for batch in batches(self._memory.stops.values(), _BATCH):
            rows = await self._database.fetch(
                sql.healing.FIND_RUNS, [ended.run.run_id for ended in batch]
            )
            running = {row["launch_id"] for row in rows if row["status"] == RunStatus.RUNNING}
            undone = [ended for ended in batch if ended.process.launch_id in running]
            known = await self._known([_id(ended) for ended in undone])
            for ended in undone:
                if _id(ended) not in known and self._stops.of(ended.run.run_id) is None:
                    decision = await self._decider.decide(ended.request)
                    if isinstance(decision, Stop):
                        self._stops.start(decision)
                    again.append(_id(ended))
        return again


def _id(ended: EndedStop) -> UUID:
    return ended.request.command.command_id
