"""Notices that Postgres was started again or failed over, and records again what that undid.

A standby that follows asynchronously may lack the last commits when it becomes the primary. What it
has is how the database was at some moment. So each worker compares what it remembers with what is
on record, and does again what is missing, by the same ways as the first time: a repeat changes
nothing, and what has been decided since then counts. Several looks, because workers depend on what
others record again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, NoReturn

import structlog

from shared.aio.retry import until_available
from shared.postgres import sql
from shared.postgres.database import Database
from worker.healing.commands import Commands
from worker.healing.each import SomeNotHealed
from worker.healing.event_numbers import pass_published_numbers
from worker.healing.launched import Launched
from worker.healing.letters import Letters
from worker.healing.registrations import Registrations
from worker.memory.kinds import Healed
from worker.memory.memory import Memory
from worker.metrics import WorkerMetrics
from worker.outbox.relay import Relay

log = structlog.get_logger(__name__)

_PAUSES: Final = (1.0, 2.0, 5.0)
"""Seconds before each look but the first."""
_MOST_NAMED: Final = 20

Heals = Callable[[], Awaitable[Sequence[object]]]


class Healing:
    """Compares what this worker has recorded with what is on record."""

    def __init__(
        self,
        database: Database,
        memory: Memory,
        registrations: Registrations,
        launched: Launched,
        commands: Commands,
        letters: Letters,
        metrics: WorkerMetrics,
        relay: Relay,
        go_on: Callable[[], Awaitable[None]],
    ) -> None:
        """`go_on` is called for each new server, once the first look is done."""
        self._database = database
        self._memory = memory
        self._registrations = registrations
        self._launched = launched
        self._commands = commands
        self._letters = letters
        self._metrics = metrics
        self._relay = relay
        self._go_on = go_on
        self._woken = asyncio.Event()
        self._server: datetime | None = None
        self._has_failed = False
        """Whether something could not be recorded again."""

    def wake(self) -> None:
        """Hint that Postgres may be another server: there is a new connection."""
        self._woken.set()

    def heard(self, server: datetime) -> None:
        """Note the time at which the server that answered a heartbeat was started."""
        if server != self._server:
            self.wake()

    async def launches_again(self) -> None:
        """Record launches and ends of launches again that are remembered.

        Call it before this worker decides on anything: a run that is queued by the record, and is
        alive, must not be canceled as never started.
        """
        await self._record(
            [
                (Healed.CLAIM, self._launched.claim_again),
                (Healed.COMPLETION, self._launched.complete_again),
            ]
        )
        if self._has_failed:
            self._memory.undone.set()

    async def run(self) -> NoReturn:
        """Look whenever Postgres is another server, or somebody found that something is undone."""
        self._server = await until_available(self._ask)
        while True:
            await self._until_woken()
            try:
                await self._look()
            except Exception:  # the next heartbeat wakes again
                log.exception("records_not_compared")
                self._server = None

    async def _until_woken(self) -> None:
        waits = [asyncio.create_task(each.wait()) for each in (self._woken, self._memory.undone)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def _look(self) -> None:
        self._woken.clear()
        server = await until_available(self._ask)
        is_undone = self._memory.undone.is_set()
        self._memory.undone.clear()
        if server == self._server and not is_undone:
            return
        if server != self._server:
            self._server = server
            log.info("postgres_is_another_server", started_at=server.isoformat())
            await pass_published_numbers(self._database, self._relay.latest)
        number = await self._record_again(is_first=True)
        await self._go_on()
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            number += await self._record_again(is_first=False)
        log.info("records_compared", recorded_again=number)

    async def _ask(self) -> datetime:
        (row,) = await self._database.fetch(sql.healing.SERVER)
        started_at: datetime = row["started_at"]
        return started_at

    async def _record_again(self, *, is_first: bool) -> int:
        """Record what is missing, each after what it depends on; how much it was."""
        registrations = (Healed.REGISTRATION, self._registrations.register_again)
        claims = (Healed.CLAIM, self._launched.claim_again)
        completions = (Healed.COMPLETION, self._launched.complete_again)
        letters = (Healed.DEAD_LETTER, self._letters.keep_again)
        work: list[tuple[Healed, Heals]]
        if is_first:
            # What was canceled before it started must not start now. What other commands do depends
            # on their runs, which other workers may have to claim first.
            never_started = (Healed.COMMAND, self._commands.cancel_queued_again)
            work = [registrations, never_started, claims, completions, letters]
        else:
            commands = (Healed.COMMAND, self._commands.decide_again)
            work = [registrations, claims, completions, commands, letters]
        return await self._record(work)

    async def _record(self, work: Sequence[tuple[Healed, Heals]]) -> int:
        counts: dict[str, int] = {}
        names: dict[str, list[str]] = {}
        for kind, heal in work:
            try:
                again = await until_available(heal)
            except Exception as error:  # the next look, if there is one, finds what is missing
                log.exception("not_recorded_again", kind=kind)
                self._has_failed = True
                again = error.again if isinstance(error, SomeNotHealed) else ()
            if again:
                self._metrics.recorded_again(kind, len(again))
                counts[kind.value] = len(again)
                names[kind.value] = [str(each) for each in again[:_MOST_NAMED]]
        if counts:
            log.warning("recorded_again", counts=counts, ids=names)
        return sum(counts.values())
