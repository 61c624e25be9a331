"""What goes on while versions are mixed: jobs, cancels, registrations, messages that fail."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import product
from typing import Final

from tools.support.program import Program
from tools.support.waiting import eventually
from tools.upgrade.jobs import Job
from tools.upgrade.system import UpgradedSystem
from tools.upgrade.version import Version

_SETTLED: Final = 30.0
"""Seconds."""
_PACE: Final = 0.1
"""Seconds between two cancels of the load."""
_LAST_ATTEMPT: Final = 4


class Traffic:
    """Commands come in by each of `gateways` and by messages. Launchers are of all `versions`."""

    def __init__(self, system: UpgradedSystem, versions: Sequence[Version]) -> None:
        self.gateways: list[Program] = []
        self.canceled: list[int] = []
        """Runs that somebody has asked to cancel."""
        self.early: list[str] = []
        """The tags of commands for runs that were not there."""
        self._system = system
        self._versions = versions
        self._waiting: list[Job] = []
        self._turn = 0

    async def stage(self, what: str) -> list[str]:
        """Do something of each kind, and wait for the results; commands that got none."""
        fresh = await self._jobs()
        # Half of the jobs were started when the stage before was on.
        jobs, self._waiting = [*self._waiting, *fresh[::2]], fresh[1::2]
        tags = [await self._cancel(job.run_id) for job in jobs]
        tags += [await self._cancel(run_id) for run_id in await self._register()]
        self._system.ledger.add(what, "jobs and queued runs", tags)
        dead = await self._die()
        self._system.ledger.add(what, "letters", dead)
        return await self._system.ledger.settled([*tags, *dead], _SETTLED)

    async def stopping(self, host: str, version: Version, grace: float) -> None:
        """Leave a stop in its grace period."""
        job = await self._system.job(version, host, "ignores_term", grace)
        tag = await self._cancel(job.run_id)
        self._system.ledger.add("worker replaced during the stop", "jobs", [tag])
        await self._system.status_becomes(job.run_id, "canceling")

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """Cancels of queued runs all the time."""
        enough = asyncio.Event()

        async def cancel() -> None:
            while not enough.is_set():
                tag = await self._cancel(await self._system.queued())
                self._system.ledger.add("all the time", "queued runs", [tag])
                await asyncio.sleep(_PACE)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(cancel())
            yield
            enough.set()

    async def finish(self) -> list[str]:
        """Cancel the jobs that are left; commands without a result."""
        tags = [await self._cancel(job.run_id) for job in self._waiting]
        self._system.ledger.add("at the end", "jobs", tags)
        return await self._system.ledger.settled(self._system.ledger.tags, _SETTLED)

    async def _jobs(self) -> list[Job]:
        """A job for each host and each version of the launcher."""
        pairs = product(self._system.hosts, self._versions)
        return await asyncio.gather(*(self._system.job(version, host) for host, version in pairs))

    async def _cancel(self, run_id: int) -> str:
        """By each of the gateways and by a message, in turns."""
        self.canceled.append(run_id)
        self._turn += 1
        which = self._turn % (len(self.gateways) + 1)
        if which == len(self.gateways):
            return await self._system.broker.cancel(run_id)
        return await self._system.rest(run_id, self.gateways[which])

    async def _register(self) -> list[int]:
        """Register a run by a message, and one by each gateway."""
        by_message = self._system.unknown()
        await self._system.broker.register(by_message)
        by_http = [self._system.unknown() for _ in self.gateways]
        for run_id, gateway in zip(by_http, self.gateways, strict=True):
            body = {"labels": {"by": "http"}}
            await self._system.call("PUT", f"runs/{run_id}", body, gateway)
        found = "SELECT count(*) FROM runs WHERE run_id = $1"
        await eventually(
            lambda: self._system.database.fetchval(found, by_message),
            what=f"the registration of run {by_message}",
        )
        return [by_message, *by_http]

    async def _die(self) -> list[str]:
        """A command for a run that is not there, and one that cannot be read."""
        early = await self._system.broker.cancel(self._system.unknown(), _LAST_ATTEMPT)
        self.early.append(early)
        return [early, await self._system.broker.cancel_badly(self._system.unknown())]
