"""Two Postgres servers of a test's own, of which one follows the other, to be switched over."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import asyncpg
import pytest
from yarl import URL

from tools.services import PrivatePostgres, Sandbox, ServerFailed, ServicesUnavailable
from tools.services.sandbox import clean_environment, log_tail

_COPY_SECONDS: Final = 60.0
_PROMOTE_SECONDS: Final = 30


class ReplicatedPostgres(PrivatePostgres):
    """A primary, or a standby that streams from one and has the same password."""

    def copy(self, primary: Self) -> None:
        """Start as a standby of `primary`. Raises ServerFailed, and ServicesUnavailable."""
        program = Path(self._program("pg_basebackup"))
        if not program.is_file():
            raise ServicesUnavailable(f"{program} is not installed")
        self._home.mkdir(mode=0o700)
        self._own(self._home)
        process = self._sandbox.spawn(
            [
                str(program),
                f"--dbname={primary.url}",
                f"--pgdata={self._data}",
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
            ],
            log=self._log,
            env=clean_environment(),
            account=self._account,
        )
        if process.wait(_COPY_SECONDS) != 0:
            raise ServerFailed(f"pg_basebackup failed\n{log_tail(self._log)}")
        self._password = primary._password
        self.start()

    async def promote(self) -> None:
        """Stop following, and take writes."""
        connection = await asyncpg.connect(self.url)
        try:
            promoted = await connection.fetchval("SELECT pg_promote(true, $1)", _PROMOTE_SECONDS)
            assert promoted
        finally:
            await connection.close()

    def follow(self, primary: Self) -> None:
        """Start again, after it was stopped in order, as a standby of what was its own."""
        with (self._data / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"primary_conninfo = '{primary.url}'\n")
        (self._data / "standby.signal").touch()
        self._own(self._data / "standby.signal")
        self.start()

    def _own(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account.uid, self._account.gid)


@dataclass(frozen=True, slots=True)
class Pair:
    """A primary and its standby, at first."""

    primary: ReplicatedPostgres
    standby: ReplicatedPostgres

    async def switch_over(self) -> None:
        """Have the standby take the writes, and the primary follow it; nothing is lost."""
        self.primary.stop()  # in order: its last word has gone to the standby
        await self.standby.promote()
        self.primary.follow(self.standby)

    def url(self, *servers: ReplicatedPostgres, database: str | None = None) -> str:
        """A URL of several hosts, both if none are named, as libpq takes it."""
        first = URL(self.primary.url)
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers or self.both)
        path = f"/{database}" if database else first.path
        return f"postgresql://{first.user}:{first.password}@{hosts}{path}"

    @property
    def both(self) -> tuple[ReplicatedPostgres, ReplicatedPostgres]:
        return self.primary, self.standby


@contextmanager
def replicated() -> Iterator[Pair]:
    """A primary with its standby, for a test that is skipped where no Postgres is installed."""
    with ExitStack() as stack:
        try:
            primary, standby = (
                ReplicatedPostgres(stack.enter_context(Sandbox())) for _ in ("primary", "standby")
            )
            primary.start()
            standby.copy(primary)
        except ServerFailed:
            raise
        except ServicesUnavailable as error:
            pytest.skip(str(error))
        yield Pair(primary, standby)
