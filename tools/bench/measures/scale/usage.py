"""What an idle installation takes of its servers."""

import asyncio
from dataclasses import dataclass
from time import monotonic

from tools.bench import servers
from tools.bench.servers import Server
from tools.bench.system import BenchSystem

# Of the database alone: the bench's other ones do nothing meanwhile.
_COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
_WAL = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"


@dataclass(frozen=True, slots=True)
class Usage:
    broker_cpu: float = 0.0
    """Seconds of processor time per minute; so is the next one."""
    postgres_cpu: float = 0.0
    broker_mb: float = 0.0
    postgres_mb: float = 0.0
    commits: float = 0.0
    """Transactions per second, those that only read included."""
    wal: float = 0.0
    """Bytes per second."""


class Watch:
    """The servers of a system, where their processes are on this machine."""

    def __init__(self, broker: Server, postgres: Server) -> None:
        self.broker = broker
        self.postgres = postgres

    @classmethod
    def on(cls, system: BenchSystem) -> "Watch | None":
        broker = servers.find(system.amqp_url, "beam")
        postgres = servers.find(system.database_url, "postgres")
        return None if broker is None or postgres is None else cls(broker, postgres)

    async def usage(self, system: BenchSystem, seconds: float) -> Usage:
        """Over so many seconds, in which nobody asks for anything."""
        began, before = monotonic(), await self._totals(system)
        await asyncio.sleep(seconds)  # over which it is measured
        after, passed = await self._totals(system), monotonic() - began
        broker, postgres, commits, wal = (
            (now - then) / passed for now, then in zip(after, before, strict=True)
        )
        return Usage(
            broker_cpu=60 * broker,
            postgres_cpu=60 * postgres,
            broker_mb=self.broker.memory_mb(),
            postgres_mb=self.postgres.memory_mb(),
            commits=commits,
            wal=wal,
        )

    async def _totals(self, system: BenchSystem) -> tuple[float, float, float, float]:
        async with system.database.acquire() as connection:
            commits, wal = [float(await connection.fetchval(ask)) for ask in (_COMMITS, _WAL)]
        return self.broker.cpu_seconds(), self.postgres.cpu_seconds(), commits, wal
