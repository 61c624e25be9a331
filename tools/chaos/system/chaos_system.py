"""The system of a round: servers, proxies, three workers, two gateways, and their bystanders."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg

from gateway.auth.access import Scope, new_token
from shared.configuration.settings import DatabaseSettings
from shared.postgres import sql
from shared.postgres.database import connected
from shared.postgres.migrate import migrate
from shared.tokens import Role, token_hash
from tools.chaos.driver.journal import Journal
from tools.chaos.observed import audit, event_queue
from tools.chaos.options import Options
from tools.chaos.system.bystanders import Bystanders
from tools.chaos.system.network import Network
from tools.chaos.system.servers import Servers
from tools.chaos.system.slots import Slot
from tools.errors import ToolError
from tools.services import Sandbox
from tools.services.guard import MARKER
from tools.services.native.rabbitmq import START_SECONDS
from worker.processes.cgroup import Cgroup, path_of

ROOT: Final = Path(__file__).parents[3]
STARTUP_SECONDS: Final = START_SECONDS + 30.0
"""How long a program that starts waits for a service: longer than a broker may take to start, as
else it would give up, as it should, and count as one that failed."""
READY_SECONDS: Final = 3 * STARTUP_SECONDS
"""As long as a program itself may wait: for Postgres, its schema, and RabbitMQ."""
WORKERS: Final = 3
GATEWAYS: Final = 2


class ChaosSystem:
    def __init__(
        self,
        sandbox: Sandbox,
        servers: Servers,
        network: Network,
        directory: Path,
        journal: Journal,
    ) -> None:
        self.directory = directory
        self.journal = journal
        self.servers = servers
        self.hosts = [f"chaos-{uuid4().hex[:6]}-{letter}" for letter in "abc"[:WORKERS]]
        self.network = network
        # A guard outlives us and ends whatever carries this, should we be killed.
        self.environment = {MARKER: str(sandbox.path), "PYTHONPATH": str(ROOT)}
        self._logs = directory / "logs"
        self._logs.mkdir()
        self.workers = [self._worker(host) for host in self.hosts]
        ports = [sandbox.reserve_port() for _ in range(GATEWAYS)]
        self.gateways = [self._gateway(number, port) for number, port in enumerate(ports)]
        self.gateway_urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.token = new_token()

    @property
    def slots(self) -> list[Slot]:
        return [*self.workers, *self.gateways]

    def socket(self, host: str) -> Path:
        return self.directory / f"{host}.sock"

    async def prepare(self) -> None:
        url = self.servers.postgres.url
        settings = DatabaseSettings.model_validate({"DATABASE_URL": url})
        async with connected(settings) as database:
            await migrate(database)
        await audit.install(url)
        connection = await asyncpg.connect(url)
        hashed, many = token_hash(self.token), 1_000_000
        await connection.execute(
            sql.requests.ADD_TOKEN, hashed, "chaos", Role.ADMIN, list(Scope), *3 * (many,), None
        )
        await connection.close()

    async def all_ready(self) -> bool:
        return all(await asyncio.gather(*(slot.ready(READY_SECONDS) for slot in self.slots)))

    async def restore(self) -> None:
        """End every fault that is still felt: network whole, programs up and ready."""
        self.network.restore()
        for slot in self.slots:
            async with slot.lock:
                slot.send(signal.SIGCONT)
        await self.all_ready()

    async def end_programs(self, signum: signal.Signals) -> None:
        async with asyncio.TaskGroup() as tasks:
            for slot in self.slots:
                tasks.create_task(slot.end(signum))

    def remove_cgroups(self) -> None:
        if own := path_of("self"):
            for host in self.hosts:
                Cgroup(own / "cancel-worker" / host).kill()
                Cgroup(own / "cancel-worker" / host).remove()

    def _worker(self, host: str) -> Slot:
        return self._slot(
            "workers",
            f"worker-{host[-1]}",
            ["worker", "serve", "--host-name", host, "--socket", str(self.socket(host))],
            ["worker_ready", "consuming"],
        )

    def _gateway(self, number: int, port: int) -> Slot:
        arguments = ["gateway", "serve", "--port", str(port)]
        return self._slot("gateways", f"gateway-{number}", arguments, ["gateway_ready"])

    def _slot(self, group: str, name: str, arguments: list[str], ready: list[str]) -> Slot:
        env = {
            **self.environment,
            "DATABASE_URL": self.network.database_url(group),
            "AMQP_URL": self.network.broker_url(group),
            "CANCEL_KEEP_DEAD_LETTERS": "true",
            "CANCEL_STARTUP_TIMEOUT": f"{STARTUP_SECONDS:.0f}",
            # Shorter than their defaults, so that a round sees more of what follows.
            "CANCEL_HEARTBEAT": "5",
            "CANCEL_WORKER_SHUTDOWN_TIMEOUT": "3",
        }
        return Slot(name, arguments, env, ready, self.journal, self._logs)


@asynccontextmanager
async def chaos_system(options: Options, journal: Journal) -> AsyncIterator[ChaosSystem]:
    """Start everything; end and remove all of it afterwards, however the block ends."""
    async with AsyncExitStack() as stack:
        sandbox = stack.enter_context(Sandbox())
        servers = Servers(sandbox, cluster=options.cluster, replication=options.replication)
        await servers.start()
        directory = options.directory
        network = Network(
            servers.rabbit.urls, servers.postgres.urls, one_address=options.one_address
        )
        system = ChaosSystem(sandbox, servers, network, directory, journal)
        stack.callback(system.remove_cgroups)
        await system.prepare()
        await system.network.start()
        stack.push_async_callback(system.network.close)
        bystanders = Bystanders(directory, journal, system.hosts)
        stack.push_async_callback(bystanders.end)
        await bystanders.start()
        stack.push_async_callback(system.end_programs, signal.SIGKILL)
        for slot in system.slots:
            await slot.start()
        if not await system.all_ready():
            raise ToolError(f"a program did not start; its log is in {directory / 'logs'}")
        await event_queue.listen(system.network.publishers_url)
        yield system
