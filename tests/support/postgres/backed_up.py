"""A Postgres server with backups, restored by the commands of docs/backup.md."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import asyncpg
from yarl import URL

from tests.support.own_servers import skipped_if_unavailable
from tests.support.repository.documents import ROOT, code_block
from tools.services import PrivatePostgres, Sandbox
from tools.services.sandbox import clean_environment
from tools.support.waiting import eventually

DATABASE: Final = "run_cancel"
_SECONDS: Final = 60.0
_BACKUP: Final = "/backup"
_DATA: Final = "/var/lib/postgresql/15/main"
TIME: Final = "2026-11-30 09:30:00+00"
"""As the document has them."""


class BackedUpPostgres(PrivatePostgres):
    """It archives its WAL, as the document says."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox, fsync=False)
        self._backup = sandbox.path / "backup"
        self._backup.mkdir()
        (self._backup / "wal").mkdir()
        for path in (self._backup, self._backup / "wal"):
            if self._account:
                os.chown(path, self._account.uid, self._account.gid)

    @property
    def database_url(self) -> str:
        return str(URL(self.url).with_path(f"/{DATABASE}"))

    async def create(self) -> None:
        admin = await asyncpg.connect(self.url)
        await admin.execute(f"CREATE DATABASE {DATABASE}")
        await admin.close()

    def do(self, block: str, example: str = "", filled: str = "") -> None:
        """Run the commands of this block of the document, on this server.

        `example` is replaced by `filled`.
        """
        url = URL(self.url)
        env = clean_environment(
            PGHOST="127.0.0.1", PGPORT=str(self.port), PGUSER=url.user or "", ROOT=str(ROOT)
        )
        env["PGPASSWORD"] = url.password or ""
        env["PATH"] = f"{self._programs.directory}:{env['PATH']}"
        commands = code_block(block)
        for placeholder, value in (
            (example, filled),
            (_BACKUP, str(self._backup)),
            (_DATA, str(self._data)),
            ("deploy/postgres", f"{ROOT}/deploy/postgres"),
        ):
            commands = commands.replace(placeholder, value) if placeholder else commands
        done = subprocess.run(
            ["/bin/bash", "-euc", commands],
            cwd=self._backup,
            env=env,
            user=self._account.uid if self._account else None,
            group=self._account.gid if self._account else None,
            extra_groups=[] if self._account else None,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    async def moment(self) -> datetime:
        """Now, by the clock of the server."""
        connection = await asyncpg.connect(self.database_url)
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        await connection.close()
        return now

    async def restored_to(self, moment: datetime) -> None:
        """Restore it to `moment`, from the base backup and the WAL, and start it."""
        self.stop()  # in order: the last WAL goes to the archive
        self.do("sh restore-time", TIME, moment.isoformat())
        self.start()
        connection = await asyncpg.connect(self.url)
        await eventually(lambda: connection.fetchval("SELECT NOT pg_is_in_recovery()"))
        await connection.close()

    def _settings(self) -> dict[str, str]:
        wal = self._backup / "wal"
        return {
            **super()._settings(),
            "archive_mode": "on",
            "archive_command": f"test ! -f {wal}/%f && cp %p {wal}/%f",
        }


@contextmanager
def backed_up() -> Iterator[BackedUpPostgres]:
    """A server of a test's own. Skips the test where no Postgres is installed."""
    with Sandbox() as sandbox:
        with skipped_if_unavailable():
            server = BackedUpPostgres(sandbox)
            server.start()
        yield server
