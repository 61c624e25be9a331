"""Commands that are on record without an outcome: what this host has to do, however it came there.

Their messages bring them here as a rule. What a lost message, or a worker that ended, has left
undone is taken up by the next heartbeat.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from shared.database import Database
from shared.states import Outcome
from worker import store
from worker.cancel import Canceler
from worker.host_store import MOST_OPEN
from worker.patience import until_available
from worker.stop.evidence import workers_ended
from worker.stop.ladder import StopFailed

_AT_ONCE: Final = MOST_OPEN // 2
"""Runs. Half of what is looked at, so that there are always some that are not in hand."""

_MOST_TIMES: Final = 5
"""A stop that ends its worker, or fails in a way that nobody foresaw, must not do so for ever."""

log = structlog.get_logger(__name__)


class OpenCommands:
    """Carries out what is open on runs of `host`."""

    def __init__(
        self, database: Database, host: str, canceler: Canceler, tasks: asyncio.TaskGroup
    ) -> None:
        self._database = database
        self._host = host
        self._canceler = canceler
        self._tasks = tasks
        self._taken_up: set[int] = set()
        self._is_more = False

    async def look(self) -> None:
        """Take up what there is now."""

        async def find() -> list[int]:
            async with self._database.connection() as connection:
                return await store.open_runs_of(connection, self._host, MOST_OPEN)

        self.take_up(await until_available(find))

    def take_up(self, run_ids: Sequence[int]) -> None:
        """Take up those of these runs that nobody is at work on here, as many as there is room."""
        waiting = [
            run_id
            for run_id in run_ids
            if run_id not in self._taken_up and self._canceler.is_free(run_id)
        ]
        room = _AT_ONCE - len(self._taken_up)
        self._is_more = len(waiting) > room or len(run_ids) == MOST_OPEN
        for run_id in waiting[:room]:
            self._taken_up.add(run_id)
            self._tasks.create_task(self._carry_out(run_id))

    async def _carry_out(self, run_id: int) -> None:
        try:
            await self._cancel(run_id)
        finally:
            self._taken_up.discard(run_id)
        if self._is_more and len(self._taken_up) <= _AT_ONCE // 2:
            self._is_more = False
            try:
                await self.look()
            except Exception:  # the next heartbeat looks again
                log.exception("command_not_taken_up")

    async def _cancel(self, run_id: int) -> None:
        async def find() -> store.Recorded | None:
            async with self._database.transaction() as connection:
                # First, as all do: in another order, two could wait for each other.
                await store.lock(connection, run_id)
                recorded = await store.oldest_open(connection, run_id)
                if recorded is None:
                    return None
                if await store.count_taken_up(connection, recorded[0].command_id) > _MOST_TIMES:
                    await store.close_commands(
                        connection, run_id, Outcome.STOP_FAILED, workers_ended(_MOST_TIMES)
                    )
                    log.error("command_given_up", run_id=run_id, taken_up=_MOST_TIMES)
                    return None
                return recorded

        try:
            if recorded := await until_available(find):
                command, origin = recorded
                log.info("command_taken_up", run_id=run_id, command_id=str(command.command_id))
                await self._canceler.cancel(command, origin)
        except StopFailed as failure:
            # On record; the letter is made of its message.
            log.warning("stop_failed", run_id=run_id, error=str(failure))
        except Exception:
            log.exception("command_not_taken_up", run_id=run_id)
