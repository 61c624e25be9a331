"""Two PostgreSQL servers of our own: a primary, and a standby that streams from it."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

import asyncpg
from yarl import URL

from tools.services.model import ServicesUnavailable
from tools.services.native.postgres import POLL_SECONDS, PrivatePostgres
from tools.services.sandbox import Sandbox

NAMES: Final = ("pg1", "pg2")
# Seconds.
COPY_TIMEOUT: Final = 60.0
PROMOTE_TIMEOUT: Final = 30
_FOLLOWS: Final = """
    SELECT sync_state FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'
"""
_RECEIVES: Final = "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver)"


class Replication(StrEnum):
    ASYNCHRONOUS = "async"
    """A commit does not wait for the standby: a failover may undo it."""
    SYNCHRONOUS = "sync"
    """A commit is on the standby's disk before it is confirmed."""


class ReplicatedPostgres(PrivatePostgres):
    """A primary, or a standby that streams from one and has the same password."""

    def __init__(self, sandbox: Sandbox, name: str, replication: Replication) -> None:
        """Prepare a server in ``sandbox``. Raises ServicesUnavailable if none is installed."""
        # A copy would sync each of its files when it starts: 3 s.
        super().__init__(sandbox, name=name, fsync=False)
        self.name = name
        self._replication = replication
        self._copier = Path(self._program("pg_basebackup"))
        if not self._copier.is_file():
            raise ServicesUnavailable(f"{self._copier} is not installed")

    def copy(self, primary: "ReplicatedPostgres") -> None:
        """Start as a standby of ``primary``, with a new copy of its data. Raises ServerFailed.

        That is right whatever was here before. pg_rewind copies less, but needs wal_log_hints or
        checksums, a crash recovery of the old data, and a checkpoint of the new primary.
        """
        shutil.rmtree(self._data, ignore_errors=True)
        self._home.mkdir(mode=0o700, exist_ok=True)
        self._own(self._home)
        self._run(
            [
                str(self._copier),
                f"--dbname={primary.url}",
                f"--pgdata={self._data}",
                "--checkpoint=fast",
                "--no-sync",
            ],
            COPY_TIMEOUT,
        )
        self._password = primary._password
        self.follow(primary)

    def follow(self, primary: "ReplicatedPostgres") -> None:
        """Start as a standby of ``primary``, which has all that is here. Raises ServerFailed."""
        with (self._data / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"primary_conninfo = '{self.conninfo(primary)}'\n")
        (self._data / "standby.signal").touch()
        self._own(self._data / "standby.signal")
        self.start()

    def conninfo(self, primary: "ReplicatedPostgres") -> str:
        """How this server reaches its primary."""
        return f"{primary.url}?application_name={self.name}"

    def promote(self) -> None:
        """Stop following, and accept writes. Raises ServerFailed."""
        self._run(
            [
                *(self._program("pg_ctl"), "promote", "--wait", f"--pgdata={self._data}"),
                f"--timeout={PROMOTE_TIMEOUT}",
            ],
            PROMOTE_TIMEOUT + 1,
        )

    def _settings(self) -> dict[str, str]:
        settings = {
            **super()._settings(),
            # A standby that was away finds what it missed.
            "wal_keep_size": "1GB",
            # By default, a standby waits for 5 s before it connects again.
            "wal_retrieve_retry_interval": "200ms",
        }
        if self._replication is Replication.SYNCHRONOUS:
            # Names, not "*": that would count a running base backup as a standby.
            settings["synchronous_standby_names"] = f"FIRST 1 ({', '.join(NAMES)})"
        return settings

    def _own(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account.uid, self._account.gid)


class PrivatePair:
    """A primary and its standby on 127.0.0.1, which change places.

    Methods that are not coroutines block. Their waits are bounded and end in ServerFailed.
    """

    def __init__(self, sandbox: Sandbox, replication: Replication) -> None:
        """Prepare both in ``sandbox``. Raises ServicesUnavailable if none is installed."""
        self.servers = tuple(ReplicatedPostgres(sandbox, name, replication) for name in NAMES)
        self.primary, self.standby = self.servers
        self._replication = replication

    def start(self) -> None:
        """Start the primary, copy it, and start the copy."""
        self.primary.start()
        self.standby.copy(self.primary)

    def url(self, *servers: PrivatePostgres, database: str | None = None) -> str:
        """A URL of several hosts as libpq takes it: of both servers, if none are named."""
        first = URL(self.primary.url)
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers or self.servers)
        path = f"/{database}" if database else first.path
        return f"postgresql://{first.user}:{first.password}@{hosts}{path}"

    async def followed(self) -> None:
        """Return once the standby receives what the primary writes, and commits wait for it."""
        wanted = ("sync", "quorum") if self._replication is Replication.SYNCHRONOUS else ("async",)
        connection = await asyncpg.connect(self.primary.url)
        try:
            while await connection.fetchval(_FOLLOWS, self.standby.name) not in wanted:
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await connection.close()

    async def detach(self) -> None:
        """Keep the standby from receiving anything more, as a lost network between them would."""
        await self._configure_standby("")

    async def attach(self) -> None:
        """Have the standby receive what it missed."""
        await self._configure_standby(self.standby.conninfo(self.primary))

    def switch_over(self) -> None:
        """Change places in order; nothing is lost."""
        self.primary.stop()  # its last commits have gone to the standby
        self.promote()
        self.standby.follow(self.primary)

    def promote(self) -> None:
        """Change places without asking the primary, which is down."""
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def rejoin(self) -> None:
        """Start the server that was the primary before as the standby of the new one."""
        self.standby.copy(self.primary)

    async def _configure_standby(self, conninfo: str) -> None:
        connection = await asyncpg.connect(self.standby.url)
        try:
            await connection.execute(f"ALTER SYSTEM SET primary_conninfo = '{conninfo}'")
            await connection.execute("SELECT pg_reload_conf()")
            is_wanted = bool(conninfo)
            while await connection.fetchval(_RECEIVES) is not is_wanted:
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await connection.close()


@contextmanager
def private_pair(replication: Replication) -> Iterator[PrivatePair]:
    """Run a pair for the length of the block. Raises ServicesUnavailable and ServerFailed."""
    with Sandbox() as sandbox:
        pair = PrivatePair(sandbox, replication)
        pair.start()
        yield pair
