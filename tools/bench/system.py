"""One installation to measure: its own database and queue names on the bench's services."""

import asyncio
import json
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel, AbstractConnection
from yarl import URL

from gateway.auth.access import Scope, new_token
from shared.amqp.keys import CANCEL_KEY
from shared.amqp.topology import Topology
from shared.commands import CANCEL_TYPE
from shared.configuration.settings import DatabaseSettings
from shared.launcher_environment import SOCKET_VARIABLE
from shared.postgres import sql
from shared.postgres.database import connected
from shared.postgres.migrate import migrate
from shared.tokens import Role, token_hash
from tools.bench.programs import DEADLINE, Served, result_of
from tools.errors import ToolError
from tools.services import Services
from tools.services.databases import new_database
from tools.support.broker_names import delete_names
from worker.processes.cgroup import Cgroup, path_of

LIMIT = 1_000_000_000
"""Of the bench's token: counted like any other, and never reached."""
_PUBLISHED_AT_ONCE = 500
_ROOT = Path(__file__).parents[2]
"""Of the repository: peers are in an environment without it."""


class BenchSystem:
    """Starts gateway and worker for real, and sets up what they are to do."""

    def __init__(self, amqp_url: str, database_url: str, directory: Path) -> None:
        self.database_url = database_url
        self.amqp_url = amqp_url
        self.directory = directory
        self.topology = Topology(f"b{uuid4().hex[:8]}.")
        self.host = f"bench-{uuid4().hex[:8]}"
        self.socket = directory / "worker.sock"
        self.gateway: Served
        self.port: int
        self.worker: Served
        self.database: asyncpg.Pool[asyncpg.Record]
        self.channel: AbstractChannel
        self._connection: AbstractConnection
        self._logs = count(1)
        self._programs: list[Served] = []
        self.launchers: list[subprocess.Popen[bytes]] = []
        """Of runs that were started; what is left of them is killed in the end."""

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database_url,
            "AMQP_URL": self.amqp_url,
            "CANCEL_TOPOLOGY_PREFIX": self.topology.prefix,
            "CANCEL_HOST_NAME": self.host,
            SOCKET_VARIABLE: str(self.socket),
            "CANCEL_LOG_FORMAT": "json",
        }

    @asynccontextmanager
    async def open(self) -> AsyncIterator["BenchSystem"]:
        self._connection = await aio_pika.connect(self.amqp_url)
        self.channel = await self._connection.channel(on_return_raises=True)
        self.database = await asyncpg.create_pool(self.database_url, min_size=1, max_size=10)
        try:
            await self.topology.declare_worker(self.channel)
            yield self
        finally:
            await self._end_all()
            if not self.channel.is_closed:
                await delete_names(self.channel, self.topology)
            await self.database.close()
            await self._connection.close()

    @asynccontextmanager
    async def neighbor(self) -> AsyncIterator["BenchSystem"]:
        """Another host of the same installation, whose worker takes no commands, only wakes.

        Its queues of commands are its own, and nothing publishes to them: what asks for a cancel of
        a run there is decided on here, always. Wakes reach it through a binding of two exchanges.
        """
        directory = self.directory / "neighbor"
        directory.mkdir()
        async with BenchSystem(self.amqp_url, self.database_url, directory).open() as other:
            wakes = await other.channel.get_exchange(other.topology.wakes, ensure=False)
            await wakes.bind(self.topology.wakes, other.host)
            yield other

    async def _end_all(self) -> None:
        for program in self._programs:
            await program.stop()
        for launcher in self.launchers:
            launcher.kill()  # Popen does not signal what it has reaped
            launcher.wait()
        if own := path_of("self"):
            runs = Cgroup(own / "cancel-worker" / self.host)
            runs.kill()
            while runs.is_populated():
                await asyncio.sleep(0.01)
            runs.remove()

    async def start_gateway(self, env: Mapping[str, str] | None = None) -> Served:
        """With settings other than the defaults, where `env` has some."""
        self.gateway = await self.serve("gateway", "serve", "--port", "0", env=env)
        self.port = URL((await self.gateway.event("gateway_ready"))["url"]).port or 0
        return self.gateway

    async def start_worker(self, env: Mapping[str, str] | None = None) -> Served:
        """With settings other than the defaults, where `env` has some."""
        self.worker = await self.serve("worker", "serve", env=env)
        await self.worker.event("worker_ready")
        await self.worker.event("consuming")
        return self.worker

    async def start_raw_http(self, *where: str) -> int:
        """An aiohttp server that answers, or also publishes to exchange and key; its port."""
        program = await self.serve("tools.bench.raw.http", *where)
        return int((await program.event("listening"))["port"])

    async def serve(self, *arguments: str, env: Mapping[str, str] | None = None) -> Served:
        log = self.directory / f"{arguments[0]}-{next(self._logs)}.log"
        program = await Served.start(*arguments, env={**self.environment, **(env or {})}, log=log)
        self._programs.append(program)
        return program

    async def script(self, python: str, path: Path, *arguments: object) -> Any:
        """Run a floor or a peer to its end; the JSON that it prints."""
        env = {**self.environment, "PYTHONPATH": str(_ROOT)}
        return await result_of(python, str(path), *map(str, arguments), env=env)

    async def token(self) -> str:
        token = new_token()
        await self.database.execute(
            sql.requests.ADD_TOKEN,
            token_hash(token),
            "bench",
            Role.CONTRIBUTOR,
            [*Scope],
            LIMIT,
            LIMIT,
            LIMIT,
            None,
        )
        return token

    async def add_runs(self, first: int, number: int) -> range:
        """Queued runs, numbered from `first`."""
        await self.database.execute(
            "INSERT INTO runs (run_id) SELECT generate_series($1::bigint, $2)",
            first,
            first + number - 1,
        )
        return range(first, first + number)

    async def clear(self) -> None:
        """No runs, no commands, no messages."""
        await self.database.execute("TRUNCATE runs, run_labels, cancellations, outbox")
        await self.purge()

    async def analyze(self) -> None:
        """Now, rather than at a moment of autovacuum's choice."""
        await self.database.execute("VACUUM ANALYZE runs, cancellations")

    async def purge(self) -> None:
        names = self.topology
        for name in (names.cancel, names.rest, names.dead):
            await (await self.channel.get_queue(name, ensure=False)).purge()

    async def publish(self, run_ids: Sequence[int], **fields: object) -> None:
        """Publish a command for each run, straight to the broker, each confirmed."""
        exchange = await self.channel.get_exchange(self.topology.commands, ensure=False)
        places = asyncio.Semaphore(_PUBLISHED_AT_ONCE)

        async def one(run_id: int) -> None:
            async with places:
                await exchange.publish(_message(run_id, fields), CANCEL_KEY, mandatory=True)

        async with asyncio.TaskGroup() as tasks:
            for run_id in run_ids:
                tasks.create_task(one(run_id))

    async def until(self, query: str, *arguments: object, every: float = 0.005) -> None:
        """Ask until `query` is true."""
        end = monotonic() + DEADLINE
        async with self.database.acquire() as connection:
            while not await connection.fetchval(query, *arguments):
                if monotonic() > end:
                    raise ToolError(f"timed out waiting for: {query}")
                await asyncio.sleep(every)


@asynccontextmanager
async def bench_system(services: Services) -> AsyncIterator[BenchSystem]:
    """A system with an empty, migrated database; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="run-cancel-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # jobs of another user must get to the socket
        async with new_database(services) as url:
            settings = DatabaseSettings.model_validate({"DATABASE_URL": url})
            async with connected(settings) as database:
                await migrate(database)
            async with BenchSystem(services.amqp_url, url, directory).open() as opened:
                yield opened


def _message(run_id: int, fields: dict[str, object]) -> aio_pika.Message:
    command_id = str(uuid4())
    body = {
        "command_id": command_id,
        "run_id": run_id,
        "reason": "superseded by a newer commit",
        "requested_by": "bench",
        **fields,
    }
    return aio_pika.Message(
        json.dumps(body).encode(),
        message_id=command_id,
        type=CANCEL_TYPE,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
