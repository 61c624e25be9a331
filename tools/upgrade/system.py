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
from yarl import URL

from shared.amqp.topology import Topology
from shared.launcher_environment import SOCKET_VARIABLE
from tools.chaos.observed import event_queue
from tools.services import Services
from tools.services.databases import new_database
from tools.support.processes import alive
from tools.support.program import Program
from tools.support.records import Json, Records
from tools.support.waiting import eventually
from tools.upgrade.broker import Broker
from tools.upgrade.jobs import Job, end_all
from tools.upgrade.ledger import Ledger, new_tag
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
        self.broker: Broker
        self._http: aiohttp.ClientSession
        self._urls: dict[Program, str] = {}
        self._token = ""
        self._programs: list[Program] = []
        self._numbers = count(1)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["UpgradedSystem"]:
        connection = await aio_pika.connect(self.amqp_url)
        self.broker = Broker(self.amqp_url, connection, self.topology)
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
            await self.broker.remove_names(self.hosts, self.topology.prefix + event_queue.QUEUE)
            self._remove_cgroups()
            await self._http.close()
            await self.database.close()
            await connection.close()

    def _remove_cgroups(self) -> None:
        if own := path_of("self"):
            for host in self.hosts:
                Cgroup(own / "cancel-worker" / host).remove()

    async def migrate(self, version: Version) -> None:
        await self.done(version, "worker", "migrate")

    async def gateway(self, version: Version) -> Program:
        program = await self._start(version, "gateway", "serve", "--port", "0")
        self._urls[program] = str((await program.event("gateway_ready"))["url"])
        if not self._token:
            limit = ("--rate-limit", "100000")
            create = ("gateway", "tokens", "create", "--subject", "upgrade", *limit)
            self._token = (await self.done(version, *create)).strip()
        return program

    async def allow_registering(self) -> None:
        """Let the token register runs too; versions before that do not know this scope."""
        await self.database.execute("UPDATE tokens SET scopes = scopes || '{runs:register}'")

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

    async def done(self, version: Version, *arguments: str) -> str:
        """Run a command that is to exit with 0; what it prints."""
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
        """A job that runs, started by the launcher of `version`."""
        run_id = await self.queued(grace)
        job = await Job.start(version, run_id, self.socket(host), kind)
        self.jobs.append(job)
        return job

    async def rest(self, run_id: int, gateway: Program | None = None) -> str:
        """Have a gateway cancel a run; the tag of the command that it accepted.

        Without a gateway: the one that was started last.
        """
        tag = new_tag("rest", run_id)
        await self.call("POST", f"runs/{run_id}/cancel", {"reason": tag}, gateway)
        return tag

    async def call(
        self, method: str, path: str, body: Json, gateway: Program | None = None
    ) -> None:
        """Call a gateway until it accepts: after 503 again, with the same key."""
        url = URL(self._urls[gateway or list(self._urls)[-1]]) / "api/v1" / path
        headers = {"Authorization": f"Bearer {self._token}", "Idempotency-Key": str(uuid4())}

        async def ask() -> tuple[int, str]:
            async with self._http.request(method, url, json=body, headers=headers) as response:
                return response.status, await response.text()

        status, text = await eventually(
            ask, lambda answer: answer[0] != 503, what=f"{method} {url}"
        )
        assert status in (200, 201, 202), (status, text)

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
