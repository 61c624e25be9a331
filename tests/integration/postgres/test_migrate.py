"""Migrations: once each, by whatever role and however often they are run."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.postgres.migrate import _LOCK, known
from tools.services import Services
from tools.services.databases import new_database
from tools.support.waiting import eventually

NAMES = [migration.name for migration in known()]


@pytest.fixture
async def empty(services: Services) -> AsyncIterator[str]:
    async with new_database(services) as url:
        yield url


async def cli(
    url: str, *arguments: str, amqp_url: str = "amqp://guest@127.0.0.1:1", **env: str
) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        env={**os.environ, "DATABASE_URL": url, "AMQP_URL": amqp_url, **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


_WAITING = """
    SELECT count(*) FROM pg_locks
     WHERE locktype = 'advisory' AND NOT granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def _applied(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT name FROM schema_migrations ORDER BY number")
        return [row["name"] for row in rows]
    finally:
        await connection.close()


async def test_eight_at_once_apply_each_migration_once(empty: str) -> None:
    # All eight are held until the last has come, so that none finds the work done already.
    gate = await asyncpg.connect(empty)
    await gate.execute("SELECT pg_advisory_lock($1)", _LOCK)
    migrating = asyncio.gather(*(cli(empty, "worker", "migrate") for _ in range(8)))
    await eventually(lambda: gate.fetchval(_WAITING), lambda number: number == 8)
    await gate.close()
    ended = await migrating

    assert [(code, err) for code, _, err in ended] == [(0, "")] * 8
    said = [line for _, out, _ in ended for line in out.splitlines()]
    assert sorted(line for line in said if line.startswith("applied")) == [
        f"applied {name}" for name in NAMES
    ]
    assert said.count("the schema is up to date") == 7
    assert await _applied(empty) == NAMES


async def test_a_second_migration_finds_nothing_to_do(database_url: str) -> None:
    assert await cli(database_url, "worker", "migrate") == (0, "the schema is up to date\n", "")
    assert await _applied(database_url) == NAMES


async def test_waiting_for_another_migration_is_not_an_error(empty: str) -> None:
    # Longer than any other statement may take: the other one may be a slow migration.
    other = await asyncpg.connect(empty)
    await other.execute("SELECT pg_advisory_lock($1)", _LOCK)
    migrating = asyncio.create_task(cli(empty, "worker", "migrate", CANCEL_DATABASE_TIMEOUT="0.5"))

    ended, _ = await asyncio.wait({migrating}, timeout=2.5)
    assert not ended
    await other.close()

    applied = "".join(f"applied {name}\n" for name in NAMES)
    assert await migrating == (0, applied, "")


async def test_a_failed_migration_leaves_nothing_behind(empty: str) -> None:
    connection = await asyncpg.connect(empty)
    await connection.execute("CREATE TABLE tokens ()")  # in the way of the last statement

    code, out, err = await cli(empty, "worker", "migrate")

    assert (code, out) == (1, "")
    assert err == 'cancel-worker: Postgres refused: relation "tokens" already exists\n'
    assert await connection.fetchval("SELECT to_regclass('runs')") is None
    assert await connection.fetchval("SELECT to_regclass('schema_migrations')") is None
    await connection.close()


# A machine without cgroups is not worth a line here.
QUIET = {"CANCEL_CONTAINMENT": "session"}
USES = [
    ("worker", "serve"),
    ("worker", "runs", "list"),
    ("gateway", "serve", "--port", "0"),
    ("gateway", "tokens", "create", "--subject", "s"),
]


async def test_a_database_ahead_of_the_code_is_left_alone(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("INSERT INTO schema_migrations (number, name) VALUES (9999, 'next')")
    await connection.close()

    ended = await asyncio.gather(
        *(cli(database_url, *use, **QUIET) for use in [*USES, ("worker", "migrate")])
    )

    for code, out, err in ended:
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert err.endswith(
            "the database schema is newer than this version: it has migration 9999\n"
        )


async def test_nothing_works_on_an_unmigrated_database_and_says_so(empty: str) -> None:
    ended = await asyncio.gather(*(cli(empty, *use, **QUIET) for use in USES))

    for code, out, err in ended:
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert err.endswith("the database schema is not up to date: run `cancel-worker migrate`\n")
