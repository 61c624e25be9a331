"""Dumps of a migrated database: its schema, and the rows that migrations write.

Each supported version of Postgres makes the same dump: what differs is left out.
"""

import asyncio
import os
import re
import shutil
from datetime import UTC, datetime
from typing import Final

import asyncpg
from yarl import URL

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from shared.postgres.migrate import migrate
from tools.errors import ToolError
from tools.services.native.binaries import find_postgres

_HEAD: Final = """\
SET check_function_bodies = false;
SELECT pg_catalog.set_config('search_path', '', true);
"""
_LEFT_OUT: Final = (
    # For psql alone.
    r"\\.*",
    # Titles, with the versions of server and pg_dump.
    r"--.*",
    # Which settings there are differs from version to version.
    r"SET \w+ = .*;",
    r"SELECT pg_catalog\.set_config\('search_path'.*",
)
_LINE_LEFT_OUT: Final = re.compile("^(?:" + "|".join(_LEFT_OUT) + ")\n", re.MULTILINE)
_BLANK_LINES: Final = re.compile(r"\n{3,}")
_ANY_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)


class DumpUnavailable(ToolError):
    """No pg_dump here can dump this server; the message says why."""


async def migrate_to(url: str, number: int) -> None:
    """Apply the migrations up to `number`."""
    settings = DatabaseSettings.model_validate({"DATABASE_URL": url})
    async with connected(settings) as database:
        await migrate(database, up_to=number)


async def load(url: str, dump: str) -> None:
    """Load a dump into an empty database."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(dump)
    finally:
        await connection.close()


async def dumped(url: str) -> str:
    """The dump of a database without rows of its own. Raises DumpUnavailable."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("UPDATE schema_migrations SET applied_at = $1", _ANY_TIME)
    finally:
        await connection.close()
    return _normalized(await _pg_dump(url))


async def _pg_dump(url: str) -> str:
    place = URL(url)
    process = await asyncio.create_subprocess_exec(
        _program(),
        *("--no-owner", "--column-inserts", "--no-password"),
        f"--dbname={place.with_password(None)}",
        env={**os.environ, "PGPASSWORD": place.password or "", "TZ": "UTC", "PGTZ": "UTC"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode:
        raise DumpUnavailable(err.decode().strip())
    return out.decode()


def _program() -> str:
    """The pg_dump beside the newest server programs, else the one on PATH."""
    if (found := find_postgres()) and (program := found.directory / "pg_dump").is_file():
        return str(program)
    if on_path := shutil.which("pg_dump"):
        return on_path
    raise DumpUnavailable("pg_dump is not installed")


def _normalized(dump: str) -> str:
    return _BLANK_LINES.sub("\n\n", _HEAD + _LINE_LEFT_OUT.sub("", dump)).rstrip() + "\n"
