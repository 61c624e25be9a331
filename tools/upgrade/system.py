"""One installation that is upgraded: its own database, queues, hosts, programs and jobs."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final
from uuid import uuid4

import aio_pika
import aiohttp
import asyncpg
from aio_pika.abc import AbstractConnection
from yarl import URL

from shared.amqp.channels import is_there
from shared.amqp.keys import CANCEL_KEY
from shared.amqp.topology import Topology
from shared.commands import CANCEL_TYPE
from shared.launcher_environment import SOCKET_VARIABLE
from tools.services import Services
from tools.services.databases import new_database
from tools.support.broker_names import delete_names
from tools.support.processes import alive
from tools.support.program import Program
from tools.support.records import Records
from tools.upgrade.jobs import Job, end_all
from tools.upgrade.ledger import Ledger, published
from tools.upgrade.version import Version
from worker.processes.cgroup import Cgroup, path_of

BEAT: Final = 0.5
"""Seconds between two heartbeats of a host."""


class UpgradedSystem(Records):
    def __init__(self, services: Services, database_url: str, directory: Path) -> None:
        self.amqp_url = services.amqp_url
        self.database_url = database_url
        self.directory = directory
        self.topology = Topology(f"u{uuid4().hex[:8]}.")
        self.hosts = tuple(f"{name}-{uuid4().hex[:6]}" for name in ("alpha", "beta"))
        self.jobs: list[Job] = []
        self.false: list[str] = []
        """Runs that were recorded as canceled while a process of theirs lived."""
        self.ledger: Ledger
        self._http: aiohttp.ClientSession
        self._connection: AbstractConnection
        self._url = ""
        self._token = ""
        self._programs: list[Program] = []
        self._numbers = count(1)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["UpgradedSystem"]:
        self._connection = await aio_pika.connect(self.amqp_url)
        self.database = await asyncpg.create_pool(self.database_url, min_size=1, max_size=5)
        self.ledger = Ledger(self.database)
        self._http = aiohttp.ClientSession()
        watch = asyncio.create_task(self._watch())
        try:
            yield self
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
            await end_all(self.jobs)
            for program in self._programs:
                await program.kill()
            await self._remove_names()
            await self._http.close()
            await self.database.close()
            await self._connection.close()

    async def _remove_names(self) -> None:
        channel = await self._connection.channel()
        await delete_names(channel, self.topology)
        own = path_of("self")
        for host in self.hosts:
            await channel.queue_delete(self.topology.old_host_queue(host))
            if own:
                Cgroup(own / "cancel-worker" / host).remove()

    async def migrate(self, version: Version) -> None:
        await self._done(version, "worker", "migrate")

    async def gateway(self, version: Version) -> Program:
        program = await self._start(version, "gateway", "serve", "--port", "0")
        self._url = str((await program.event("gateway_ready"))["url"])
        if not self._token:
            create = ("gateway", "tokens", "create", "--subject", "upgrade", "--rate-limit", "1000")
            self._token = (await self._done(version, *create)).strip()
        return program

    async def worker(self, version: Version, host: str) -> Program:
        program = await self._start(version, "worker", "serve", host=host)
        await program.event("worker_ready")
        await program.event("consuming")
        return program

    async def refused(self, version: Version, host: str) -> int:
        """The exit code of a worker that is not to start."""
        return (await version.run("worker", "serve", env=self._environment(host)))[0]

    async def _start(self, version: Version, *arguments: str, host: str = "") -> Program:
        log = self.directory / f"{next(self._numbers)}-{version.name[:12]}-{arguments[0]}.log"
        env = self._environment(host or self.hosts[0])
        program = await version.start(*arguments, env=env, log=log)
        self._programs.append(program)
        return program

    async def _done(self, version: Version, *arguments: str) -> str:
        code, out, err = await version.run(*arguments, env=self._environment(self.hosts[0]))
        assert code == 0, f"{version.name}: {' '.join(arguments)} ends with {code}:\n{err}"
        return out

    def _environment(self, host: str) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database_url,
            "AMQP_URL": self.amqp_url,
            "CANCEL_TOPOLOGY_PREFIX": self.topology.prefix,
            "CANCEL_HOST_NAME": host,
            SOCKET_VARIABLE: str(self.socket(host)),
            "CANCEL_HOST_HEARTBEAT": str(BEAT),
            "CANCEL_WORKER_SHUTDOWN_TIMEOUT": "0.2",  # a stop in its grace period stays open
        }

    def socket(self, host: str) -> Path:
        return self.directory / f"{host}.sock"

    async def queued(self, grace: float | None = None) -> int:
        """Add a run; its number."""
        run_id = next(self._numbers)
        add = "INSERT INTO runs (run_id, grace_seconds) VALUES ($1, $2)"
        await self.database.execute(add, run_id, grace)
        return run_id

    def unknown(self) -> int:
        """The number of a run that was never added."""
        return next(self._numbers)

    async def job(
        self, version: Version, host: str, kind: str = "obeys", grace: float | None = None
    ) -> Job:
        """A job that runs."""
        run_id = await self.queued(grace)
        job = await Job.start(version, run_id, self.socket(host), kind)
        self.jobs.append(job)
        return job

    async def rest(self, run_id: int) -> str:
        """Have the gateway cancel a run; the tag of the command that it accepted."""
        tag = _tag("rest", run_id)
        url = URL(self._url) / f"api/v1/runs/{run_id}/cancel"
        headers = {"Authorization": f"Bearer {self._token}"}
        async with self._http.post(url, json={"reason": tag}, headers=headers) as response:
            assert response.status == 202, (response.status, await response.text())
        return tag

    async def direct(self, run_id: int, attempt: int | None = None) -> str:
        """Publish a command with a confirm; its tag. `attempt`: one that comes from a retry."""
        tag, command_id = _tag("direct", run_id), str(uuid4())
        message = aio_pika.Message(
            published(tag, run_id, command_id),
            message_id=command_id,
            type=CANCEL_TYPE,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            user_id=URL(self.amqp_url).user if attempt else None,
            headers={"x-attempt": attempt} if attempt else {},
        )
        async with self._connection.channel(on_return_raises=True) as channel:
            exchange = await channel.get_exchange(self.topology.commands, ensure=False)
            await exchange.publish(message, CANCEL_KEY, mandatory=True)
        return tag

    async def depth(self, queue: str) -> int | None:
        """How many messages wait in a queue; None where there is no such queue."""
        found: list[int] = []

        async def look(channel: aio_pika.abc.AbstractChannel) -> None:
            declared = await channel.declare_queue(queue, passive=True)
            found.append(declared.declaration_result.message_count or 0)

        return found[0] if await is_there(self._connection, look) else None

    async def host_queues(self) -> dict[str, int]:
        """The old queues that are there, and how many messages wait in each."""
        names = [self.topology.old_host_queue(host) for host in self.hosts]
        depths = {name: await self.depth(name) for name in names}
        return {name: depth for name, depth in depths.items() if depth is not None}

    async def status(self, run_id: int) -> str:
        return str((await self.run(run_id))["status"])

    async def _watch(self) -> None:
        """Look at the processes of each run as soon as it is on record as canceled."""
        looked_at: set[int] = set()
        canceled = "SELECT run_id FROM runs WHERE status = 'canceled'"
        while True:
            with suppress(asyncpg.UndefinedTableError):
                found = {row["run_id"] for row in await self.database.fetch(canceled)}
                self.false += self.living(found - looked_at)
                looked_at |= found
            await asyncio.sleep(0.1)

    def living(self, run_ids: Iterable[int]) -> list[str]:
        """Which of these runs have a process."""
        marks = {job.run_id: job.mark for job in self.jobs}
        return [
            f"run {run_id}: {pids}"
            for run_id in run_ids
            if run_id in marks and (pids := alive(marks[run_id]))
        ]


@asynccontextmanager
async def upgraded_system(services: Services) -> AsyncIterator[UpgradedSystem]:
    """A system with an empty database; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="upgrade-") as name:
        async with (
            new_database(services) as url,
            UpgradedSystem(services, url, Path(name)).open() as opened,
        ):
            yield opened


def _tag(way: str, run_id: int) -> str:
    return f"{way}-{run_id}-{uuid4().hex[:8]}"
