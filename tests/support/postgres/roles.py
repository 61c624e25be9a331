"""Making the Postgres roles of an installation."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import pytest
from yarl import URL

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from shared.postgres.migrate import migrate
from tests.support.own_servers import skipped_if_unavailable
from tools.services import PrivatePostgres, Sandbox
from tools.services.native.binaries import find_postgres

ROLES_SQL: Final = Path(__file__).parents[3] / "deploy" / "postgres" / "roles.sql"
LOGINS: Final = ("gateway", "worker", "ops")
ROLES: Final = (*LOGINS, "platform")
PASSWORDS: Final = {role: f"it's {role}" for role in LOGINS}

UrlOf = Callable[[str], str]


@contextmanager
def server_alone() -> Iterator[PrivatePostgres]:
    """A server of a test's own: roles belong to all of its databases."""
    programs = find_postgres()
    if programs is None or not (programs.directory / "psql").exists():
        pytest.skip("roles need a Postgres of their own, and psql")
    with Sandbox() as sandbox:
        with skipped_if_unavailable():
            server = PrivatePostgres(sandbox, fsync=False)
        server.start()
        yield server


async def with_roles(postgres: PrivatePostgres) -> UrlOf:
    """Migrate the server's database and make the roles there; the URL of each."""
    settings = DatabaseSettings.model_validate({"DATABASE_URL": postgres.url})
    async with connected(settings) as database:
        await migrate(database)
    await apply_roles(postgres.url, dict.fromkeys(LOGINS, "first"))
    # Again, as each start does: another password, nothing else.
    await apply_roles(postgres.url, PASSWORDS)
    owner = await asyncpg.connect(postgres.url)
    await owner.execute("ALTER ROLE platform LOGIN PASSWORD 'it''s platform'")
    await owner.close()
    return lambda role: str(URL(postgres.url).with_user(role).with_password(f"it's {role}"))


async def apply_roles(
    url: str, passwords: Mapping[str, str], connections: int | None = None
) -> None:
    """Run roles.sql as the owner at `url`, with a password for each role that logs in.

    `connections` is the limit of each, if not the usual one.
    """
    limits = {} if connections is None else dict.fromkeys(passwords, str(connections))
    parts, programs = urlsplit(url), find_postgres()
    assert programs is not None
    process = await asyncio.create_subprocess_exec(
        str(programs.directory / "psql"),
        *("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction"),
        f"--file={ROLES_SQL}",
        env={
            "PATH": os.environ["PATH"],
            "PGHOST": str(parts.hostname),
            "PGPORT": str(parts.port),
            "PGUSER": str(parts.username),
            "PGPASSWORD": str(parts.password),
            "PGDATABASE": parts.path[1:],
            **{f"{role.upper()}_PASSWORD": word for role, word in passwords.items()},
            **{f"{role.upper()}_CONNECTIONS": limit for role, limit in limits.items()},
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert (process.returncode, output.decode()) == (0, "")
