"""Making the Postgres roles of an installation."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.support.services.binaries import find_postgres

ROLES_SQL: Final = Path(__file__).parents[2] / "deploy" / "postgres" / "roles.sql"


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
