"""All that the demo's scenes play with: programs, runs, launchers, the database, the broker."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

import aio_pika
import aiohttp
import asyncpg

from shared.amqp.topology import Topology
from shared.launcher_environment import SOCKET_VARIABLE
from tools.demo.account import PUBLIC_PATH, Account, choose
from tools.demo.deployment import Deployment
from tools.demo.evidence import http
from tools.demo.programs import Programs, environment_for
from tools.services import Sandbox
from tools.services.guard import MARKER, end_marked
from tools.support.broker_names import delete_names
from tools.support.launched import Launched
from tools.support.processes import alive
from tools.support.records import Json, Records
from tools.support.subprocesses import closed
from worker.processes.cgroup import Cgroup

DEADLINE = 20.0
_LOOK_AGAIN = 0.001


class DemoSystem(Records):
    def __init__(self, deployment: Deployment, sandbox: Sandbox) -> None:
        self.services = services = deployment.services
        self.stack = deployment.stack
        # Services that others use as well: our own names, and no run id that may be taken.
        self.is_shared = services.origin == "environment"
        prefix = f"demo-{uuid4().hex[:8]}." if self.is_shared else ""
        self.topology = Topology(prefix)
        self.host = f"demo-{uuid4().hex[:8]}"
        self.first_run = int(time.time() * 1000) if self.is_shared else 1
        self.mark = f"demo-mark-{uuid4().hex}"
        self.directory = sandbox.path
        self.job_directory = sandbox.path / "job"
        names = {"CANCEL_TOPOLOGY_PREFIX": prefix, "CANCEL_HOST_NAME": self.host}
        settings = {**names, **deployment.settings}
        self.programs = Programs(environment_for(services, sandbox, **settings))
        self.account: Account
        self.http: aiohttp.ClientSession
        self.url = deployment.url
        self.token = ""
        self.cgroups: Path | None = None
        self._processes: list[asyncio.subprocess.Process] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """In the end, leave nothing behind."""
        self.account = await asyncio.to_thread(choose, self.directory)
        self.job_directory.mkdir()
        if self.account.uid is not None:
            os.chown(self.job_directory, self.account.uid, -1)
        try:
            yield
        finally:
            await self._clear()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """The demo's own looks at the database and calls of the gateway."""
        async with (
            aiohttp.ClientSession() as self.http,
            asyncpg.create_pool(
                self.services.database_url, min_size=1, max_size=2
            ) as self.database,
        ):
            yield

    async def add_runs(self, *run_ids: int, grace: float | None = None) -> None:
        options = () if grace is None else ("--grace", f"{grace:g}")
        await asyncio.gather(
            *(self.programs.run("cancel-worker", "runs", "add", str(run), *options)
              for run in run_ids)
        )  # fmt: skip

    async def serve_gateway(self) -> None:
        [event] = await self.programs.serve(
            "cancel-gateway", "serve", "--port", "0", ready=("gateway_ready",)
        )
        self.url = event["url"]

    async def serve_worker(self) -> None:
        [ready, _] = await self.programs.serve(
            "cancel-worker", "serve", ready=("worker_ready", "consuming")
        )
        self.cgroups = None if ready["cgroups"] == "None" else Path(ready["cgroups"])

    async def launch(self, run_id: int, *command: str) -> Launched:
        """Start the launcher as the job's user, in an environment that was made for it."""
        uid = self.account.uid
        process = await asyncio.create_subprocess_exec(
            *self.account.launcher,
            *("--run-id", str(run_id)),
            "--",
            *command,
            env=self._job_environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
            start_new_session=True,
        )
        self._processes.append(process)
        return Launched(process)

    async def bystander(self) -> asyncio.subprocess.Process:
        """A process of the job's user that belongs to no run."""
        uid = self.account.uid
        process = await asyncio.create_subprocess_exec(
            "sleep",
            "1000",
            env=self._job_environment(),
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    async def launch_obedient(self, run_id: int) -> Launched:
        """A job that ends on SIGTERM, returned once it runs."""
        launched = await self.launch(run_id, "sh", "-c", "echo testing; exec sleep 1000")
        if await launched.line(DEADLINE) != "testing":
            raise AssertionError(f"run {run_id} did not start: {await launched.errors()}")
        return launched

    async def cancel(self, run_id: int, reason: str) -> http.Answer:
        return await http.cancel(self.http, self.url, self.token, run_id, reason)

    async def canceled(self, run_id: int) -> float:
        """Wait until Postgres answers that the run is canceled; when that was (monotonic).

        Asked about once a millisecond: this is the first moment at which a client can know.
        """

        async def is_canceled() -> bool:
            query = "SELECT status FROM runs WHERE run_id = $1"
            status: str | None = await self.database.fetchval(query, run_id)
            return status == "canceled"

        await _until(is_canceled, f"run {run_id} is not canceled")
        return time.monotonic()

    async def answered(self, run_id: int, commands: int) -> list[Json]:
        """Wait until so many commands on the run have their outcome; their rows."""

        async def have_outcomes() -> bool:
            rows = await self.cancellations(run_id)
            return sum(row["outcome"] is not None for row in rows) >= commands

        await _until(have_outcomes, f"a command on run {run_id} has no outcome")
        return await self.cancellations(run_id)

    def _job_environment(self) -> dict[str, str]:
        return {
            "PATH": PUBLIC_PATH,
            "LANG": "C.UTF-8",
            SOCKET_VARIABLE: self.programs.environment[SOCKET_VARIABLE],
            # By this, the sandbox finds what is left in the end.
            MARKER: str(self.directory),
        }

    async def _clear(self) -> None:
        await self.programs.stop()
        for pid in alive(self.mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(end_marked, self.directory)
        # A launcher would go on trying to reach the worker, which is gone.
        for process in self._processes:
            if process.returncode is None:
                process.kill()
        # Only now: asyncio waits for the pipes as well, and jobs hold those open.
        for process in self._processes:
            await closed(process)
        self._remove_cgroups()
        if self.is_shared:
            async with await aio_pika.connect(self.services.amqp_url) as connection:
                await delete_names(await connection.channel(), self.topology)

    def _remove_cgroups(self) -> None:
        """A worker keeps its directory for its next start, but this host is gone for good."""
        if self.cgroups is None:
            return
        with suppress(OSError):
            for run in self.cgroups.glob("run-*"):
                Cgroup(run).kill()  # what a scene that broke off has left
                Cgroup(run).remove()
            for directory in (self.cgroups, self.cgroups.parent):
                directory.rmdir()


async def _until(condition: Callable[[], Awaitable[bool]], otherwise: str) -> None:
    try:
        async with asyncio.timeout(DEADLINE):
            while not await condition():
                await asyncio.sleep(_LOOK_AGAIN)
    except TimeoutError:
        raise AssertionError(f"{otherwise} after {DEADLINE:.0f} s") from None
