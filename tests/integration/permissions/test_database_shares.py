"""deploy/postgres/roles.sql: what no service may take from the others, and what the owner keeps."""

import asyncpg
import pytest
from yarl import URL

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from shared.postgres.migrate import migrate
from tests.support.postgres.roles import (
    LOGINS,
    PASSWORDS,
    ROLES,
    UrlOf,
    apply_roles,
)
from tools.services import PrivatePostgres

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("role", ROLES)
async def test_no_role_can_take_an_advisory_lock_or_fill_the_disk_with_large_objects(
    url_of: UrlOf, role: str
) -> None:
    connection = await asyncpg.connect(url_of(role))
    await connection.execute("SET lock_timeout = '2s'")  # of one that a failure has left behind
    for call in (
        "pg_advisory_lock(1)",
        "pg_advisory_lock(1, 2)",
        "pg_advisory_lock_shared(1)",
        "pg_advisory_xact_lock(1)",
        "pg_try_advisory_lock(1)",
        "pg_try_advisory_xact_lock_shared(1, 2)",
        "lo_create(0)",
        "lo_from_bytea(0, '')",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(f"SELECT {call}")
    await connection.execute("SELECT pg_advisory_unlock_all()")  # as clients do when they reset
    await connection.close()


async def test_an_owner_who_is_no_superuser_can_still_migrate(
    postgres: PrivatePostgres, url_of: UrlOf
) -> None:
    connection = await asyncpg.connect(postgres.url)
    await connection.execute("CREATE ROLE plain_owner")
    await connection.execute("ALTER TABLE schema_migrations OWNER TO plain_owner")
    try:
        await apply_roles(postgres.url, PASSWORDS)

        assert await connection.fetchval(
            "SELECT has_function_privilege('plain_owner', 'pg_advisory_xact_lock(bigint)',"
            " 'EXECUTE')"
        )
    finally:
        await connection.execute("REASSIGN OWNED BY plain_owner TO CURRENT_USER")
        await connection.execute("DROP OWNED BY plain_owner")
        await connection.execute("DROP ROLE plain_owner")
        await connection.close()


@pytest.mark.parametrize("role", LOGINS)
async def test_a_role_cannot_take_every_connection(
    postgres: PrivatePostgres, url_of: UrlOf, role: str
) -> None:
    await apply_roles(postgres.url, PASSWORDS, connections=3)
    taken: list[asyncpg.Connection[asyncpg.Record]] = []
    try:
        with pytest.raises(asyncpg.TooManyConnectionsError, match=f'role "{role}"'):
            while len(taken) < 20:
                taken.append(await asyncpg.connect(url_of(role)))
        assert 0 < len(taken) <= 3  # who was there before may not have gone yet
        await (await asyncpg.connect(postgres.url)).close()
    finally:
        for connection in taken:
            await connection.close()
        await apply_roles(postgres.url, PASSWORDS)


async def test_limits_leave_the_owner_some_of_the_usual_connections(
    postgres: PrivatePostgres, url_of: UrlOf
) -> None:
    connection = await asyncpg.connect(postgres.url)
    limits = await connection.fetch(
        "SELECT rolconnlimit FROM pg_roles WHERE rolname = ANY ($1)", LOGINS
    )
    await connection.close()

    assert all(row["rolconnlimit"] > 0 for row in limits)
    # Of Postgres' 100, without the three that it keeps for superusers.
    assert sum(row["rolconnlimit"] for row in limits) < 100 - 3


async def test_an_owner_who_is_no_superuser_can_apply_the_roles(
    postgres: PrivatePostgres, url_of: UrlOf
) -> None:
    connection = await asyncpg.connect(postgres.url)
    await connection.execute("CREATE ROLE landlord LOGIN CREATEROLE CREATEDB PASSWORD 'landlord'")
    await connection.execute("GRANT gateway, worker, ops TO landlord WITH ADMIN OPTION")
    await connection.execute("CREATE DATABASE rented OWNER landlord")
    await connection.close()
    url = str(
        URL(postgres.url).with_user("landlord").with_password("landlord").with_path("/rented")
    )
    async with connected(DatabaseSettings.model_validate({"DATABASE_URL": url})) as database:
        await migrate(database)

    await apply_roles(url, PASSWORDS)


async def test_an_owner_of_the_schema_who_may_create_in_the_database_can_migrate(
    postgres: PrivatePostgres,
) -> None:
    connection = await asyncpg.connect(postgres.url)
    await connection.execute("CREATE ROLE tenant LOGIN PASSWORD 'tenant'")
    await connection.execute("CREATE DATABASE let")
    await connection.execute("GRANT CREATE ON DATABASE let TO tenant")
    await connection.close()
    url = URL(postgres.url).with_path("/let")
    connection = await asyncpg.connect(str(url))
    await connection.execute("ALTER SCHEMA public OWNER TO tenant")
    owned = str(url.with_user("tenant").with_password("tenant"))

    # The extension pg_trgm is trusted, so this needs no superuser.
    async with connected(DatabaseSettings.model_validate({"DATABASE_URL": owned})) as database:
        await migrate(database)

    assert await connection.fetchval("SELECT to_regclass('dead_letter_texts_by_content')")
    await connection.close()
