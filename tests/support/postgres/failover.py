"""A failover to a standby that lacks the last commits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from shared.postgres.migrate import migrate
from tests.support.postgres.standby import replicated
from tools.services import PrivatePair, Services
from tools.support.proxy import TcpProxy
from tools.support.system import System
from tools.support.waiting import eventually


@dataclass(frozen=True, slots=True)
class Failover:
    """A system on a pair of servers. Programs at `address` reach the primary that it leads to."""

    pair: PrivatePair
    address: TcpProxy
    system: System

    async def hold_back(self) -> None:
        """Let the standby receive nothing more; it has all that was committed before."""
        committed = await self.system.database.fetchval("SELECT pg_current_wal_flush_lsn()::text")
        standby = await asyncpg.connect(self.pair.standby.url)
        try:
            caught_up = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
            await eventually(lambda: standby.fetchval(caught_up, committed))
        finally:
            await standby.close()
        await self.pair.detach()

    async def fail_over(self) -> None:
        """Kill the primary and promote the standby; `address` still leads to nothing."""
        self.address.refuse()
        self.pair.primary.kill()
        self.pair.promote()
        self.address.prefer(self.pair.primary.url)
        await self.system.database.expire_connections()

    def reach(self) -> None:
        """Have `address` lead to the new primary."""
        self.address.accept()


@asynccontextmanager
async def held_back_standby(services: Services, directory: Path) -> AsyncIterator[Failover]:
    with replicated() as pair:
        settings = DatabaseSettings.model_validate({"DATABASE_URL": pair.primary.url})
        async with connected(settings) as database:
            await migrate(database)
        # The test itself looks at whichever takes writes.
        url = f"{pair.url()}?target_session_attrs=read-write"
        async with (
            TcpProxy(*(server.url for server in pair.servers)) as address,
            System(url, services.amqp_url, directory).running() as system,
        ):
            yield Failover(pair, address, system)
