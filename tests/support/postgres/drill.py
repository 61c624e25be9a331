"""Runs in each state around a backup, with real processes."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shared.postgres import sql
from tests.support.broker.event_listener import Json, Listener
from tests.support.launcher.leaving import LEAVES
from tools.support.launched import Launched
from tools.support.processes import BAD_CHILD
from tools.support.program import Program
from tools.support.rows import registration
from tools.support.system import System
from tools.support.waiting import eventually

QUEUED: Final = 1
CLAIMED_SINCE: Final = 2
REGISTERED_SINCE: Final = 3
RUNNING: Final = 4
PASSED_SINCE: Final = 5
CANCELED_SINCE: Final = 6
OPEN: Final = 7
"""Its cancel waits for a host that is down."""
NEVER_STARTED_SINCE: Final = 8
"""Queued before the backup, and canceled since."""
CANCELED_MEANWHILE: Final = 9
"""Claimed since the backup. Its cancel waits in the queue while Postgres is restored."""
ENDED_MEANWHILE: Final = 10
"""Claimed since the backup. Its command ends while Postgres is restored."""
CANCELED_FIRST: Final = 12
"""Claimed since the backup. A worker of another host cancels it before its own is back."""
KEPT_SINCE: Final = 13
"""Running at the backup, registered to keep what it leaves. Ended since, and left a daemon."""
KEPT_CLAIMED_SINCE: Final = 14
"""Likewise, but it was queued at the backup."""
CANCELED_BEFORE: Final = 11
"""Its events are not published at the time of the backup."""
QUEUED_BEFORE: Final = (
    QUEUED,
    NEVER_STARTED_SINCE,
    CLAIMED_SINCE,
    CANCELED_MEANWHILE,
    ENDED_MEANWHILE,
    CANCELED_FIRST,
)
KEPT: Final = (KEPT_SINCE, KEPT_CLAIMED_SINCE)
ALIVE: Final = (CLAIMED_SINCE, REGISTERED_SINCE, RUNNING)
"""What nobody asked to stop."""
EXIT_CODE: Final = 3
"""Of those."""
LABELS: Final = '{"branch": "main"}'
AWAY: Final = "away"
"""A host whose worker is down from before the backup on."""

_WAITS: Final = """
echo ready
until [ -e "$1" ]; do sleep 0.05; done
shift
"""


@dataclass
class Drill:
    system: System
    listener: Listener
    directory: Path
    """Where a command that is to pass looks whether it may end."""
    marks: dict[int, str] = field(default_factory=dict)
    launched: dict[int, Launched] = field(default_factory=dict)
    commands: dict[int, str] = field(default_factory=dict)
    letters: list[int] = field(default_factory=list)
    """The numbers of dead letters, in order."""

    async def worker(self) -> Program:
        return await self.system.worker(keep_dead_letters="true")

    async def before_backup(self) -> None:
        system = self.system
        for run in QUEUED_BEFORE:
            await system.add_run(run)
        for run in (RUNNING, CANCELED_SINCE, PASSED_SINCE):
            await system.add_run(run)
            await self._launch(run)
        for run in KEPT:
            await system.add_run(run, leftovers="keep")
        await self._launch(KEPT_SINCE)
        away = await system.worker(AWAY)
        await system.add_run(OPEN)
        await self._launch(OPEN, AWAY)
        await away.stop()
        self.commands[OPEN] = await system.publish(OPEN)
        await eventually(lambda: system.cancellations(OPEN))
        await self.bury()
        await eventually(self._has_told_all)

    @asynccontextmanager
    async def events_waiting(self) -> AsyncIterator[None]:
        """Have events that are not published before the end of the block."""
        async with self.system.database.acquire() as connection, connection.transaction():
            await connection.execute(sql.outbox.TAKE_TURN)
            await self.system.add_run(CANCELED_BEFORE)
            await self.system.outcome_of(await self.system.publish(CANCELED_BEFORE))
            yield

    async def after_backup(self) -> None:
        system = self.system
        await system.database.execute(
            sql.registrations.REGISTER, *registration(REGISTERED_SINCE)[:4], [LABELS], [None],
            [None], ["stop"],
        )  # fmt: skip
        for run in (*QUEUED_BEFORE[2:], REGISTERED_SINCE, KEPT_CLAIMED_SINCE):
            await self._launch(run)
        for run in (CANCELED_SINCE, NEVER_STARTED_SINCE):
            command = await system.publish(run)
            assert (await system.outcome_of(command))["outcome"] == "canceled"
        self.end(PASSED_SINCE)
        assert await self.launched[PASSED_SINCE].exit_code() == 0
        await system.status_becomes(PASSED_SINCE, "pass")
        for run in KEPT:
            self.end(run)
            assert await self.launched[run].exit_code() == EXIT_CODE
            await system.status_becomes(run, "fail")
        await self.bury()
        await eventually(self._has_told_all)

    def end(self, run: int) -> None:
        """Let its command end, and pass."""
        (self.directory / str(run)).touch()

    async def bury(self) -> None:
        """Have a dead letter kept, and note its number."""
        await self.system.publish_raw(b"{")
        query = "SELECT letter_id FROM dead_letters WHERE letter_id <> ALL ($1::bigint[])"
        self.letters.append(
            await eventually(lambda: self.system.database.fetchval(query, self.letters))
        )

    async def told(self) -> dict[int, Json]:
        """The events since the last time, by their number."""
        return {int(event["id"]): event for event in await self.listener.rest()}

    async def _has_told_all(self) -> bool:
        return not await self.system.database.fetchval("SELECT EXISTS (SELECT FROM outbox)")

    async def _launch(self, run: int, host: str | None = None) -> None:
        mark = self.marks[run] = self.system.new_mark()
        if run in (PASSED_SINCE, ENDED_MEANWHILE):
            gate = self.directory / str(run)
            command = ["sh", "-c", _WAITS, "sh", str(gate)]
        elif run in KEPT:
            said = self.directory / f"said-{run}"
            child = (sys.executable, "-S", str(BAD_CHILD), "sleeps", mark)
            gate = self.directory / str(run)
            command = [
                "sh",
                "-c",
                _WAITS + LEAVES,
                "sh",
                str(gate),
                str(EXIT_CODE),
                str(said),
                *child,
            ]
        else:
            command = [sys.executable, "-S", str(BAD_CHILD), "obeys", mark]
        launched = await self.system.launch(run, *command, socket=self.system.socket(host))
        await launched.ready()
        self.launched[run] = launched
