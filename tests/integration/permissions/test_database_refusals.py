"""deploy/postgres/roles.sql: what a thief of a service's password is refused."""

from typing import Final

import asyncpg
import pytest

from shared.postgres import sql
from shared.registrations import Registration
from tests.support.postgres.roles import ROLES, UrlOf
from tools.services import PrivatePostgres

pytestmark = pytest.mark.asyncio(loop_scope="module")

# With which a thief would begin.
FORBIDDEN: Final = {
    "gateway": (
        "UPDATE runs SET status = status",
        "INSERT INTO runs (run_id, status, exit_code) VALUES (9, 'pass', 0)",
        "INSERT INTO runs (run_id, host) VALUES (9, 'h1')",
        "DELETE FROM runs",
        "UPDATE tokens SET role = 'admin'",
        "INSERT INTO tokens (token_hash, subject, role, scopes) VALUES ('', 's', 'admin', '{}')",
        "UPDATE cancellations SET outcome = outcome",
        "UPDATE dead_letters SET state = state",
        "SELECT body FROM dead_letters",
        "SELECT data FROM outbox",
        "INSERT INTO outbox (type, run_id, data) VALUES ('run.finished', 1, '{}')",
        "INSERT INTO run_labels VALUES ('a:b', 1)",
        "SELECT FROM runs FOR UPDATE",
        "SELECT FROM turns",
        "SELECT FROM audit",
        "DO $$ BEGIN LOCK TABLE runs IN ROW SHARE MODE; END $$",
        "UPDATE rate_windows SET spender = 'somebody else'",
    ),
    "worker": (
        "INSERT INTO runs (run_id, status, exit_code) VALUES (9, 'pass', 0)",
        "INSERT INTO runs (run_id, host) VALUES (9, 'h1')",
        "DELETE FROM runs",
        "SELECT FROM tokens",
        "INSERT INTO tokens (token_hash, subject, role, scopes) VALUES ('', 's', 'admin', '{}')",
        "DELETE FROM cancellations",
        "UPDATE dead_letters SET state = state",
        "DELETE FROM host_actions",
        "DELETE FROM audit",
        "SELECT note_pruned(1, '{}')",
        "UPDATE audit SET done_by = 'somebody else'",
        "INSERT INTO audit (done_by, action, object, done_at) VALUES ('w', 'pruned', 'p', now())",
        "UPDATE schema_migrations SET number = number",
        "UPDATE runs SET run_id = 9",
        "UPDATE runs SET stop_signal = 'SIGHUP'",
        "UPDATE runs SET created_at = now()",
        "UPDATE cancellations SET run_id = 9",
        "UPDATE cancellations SET requested_by = 'somebody else'",
        "UPDATE cancellations SET received_at = now()",
        "UPDATE hosts SET host = 'another'",
        "INSERT INTO host_actions (host, action, done_by, run_ids, done_at) "
        "VALUES ('h', 'returned', 'w', '{}', now())",
    ),
    "ops": (
        "DELETE FROM runs",
        "DELETE FROM host_actions",
        "DELETE FROM dead_letter_actions",
        "DELETE FROM audit",
        "UPDATE audit SET done_by = 'somebody else'",
        "INSERT INTO audit (done_by, action, object, done_at) VALUES ('o', 'pruned', 'p', now())",
        "UPDATE runs SET run_id = 9",
        "UPDATE runs SET proof = 'never_started'",
        "UPDATE runs SET pid = 1",
        "INSERT INTO runs (run_id, status, exit_code) VALUES (9, 'pass', 0)",
        "UPDATE tokens SET role = 'admin'",
        "UPDATE cancellations SET requested_by = 'somebody else'",
        "UPDATE dead_letters SET body = ''",
        "UPDATE hosts SET boot_id = gen_random_uuid()",
    ),
    "platform": (
        "UPDATE runs SET status = status",
        "INSERT INTO runs (run_id, status) VALUES (9, 'running')",
        "DELETE FROM runs",
        "SELECT FROM tokens",
        "SELECT FROM cancellations",
    ),
}

_PRUNE: Final = """
    SELECT prune_runs($1, now() - interval '{days} days', '-infinity', 0, 9, true, false)
"""
# All that a role may write, where that is little.
WRITES: Final[dict[str, dict[tuple[str, str], set[str]]]] = {
    "gateway": {
        ("INSERT", "runs"): set(Registration.model_fields),
        ("INSERT", "rate_windows"): {"spender", "budget", "used", "resets_at"},
        ("UPDATE", "rate_windows"): {"used", "resets_at"},
        ("DELETE", "rate_windows"): set(),
    },
    "platform": {("INSERT", "runs"): set(Registration.model_fields)},
}
_WRITABLE: Final = """
    SELECT verb, table_name, array_agg(column_name::text) AS columns
      FROM information_schema.columns, unnest(ARRAY['INSERT', 'UPDATE', 'REFERENCES']) AS verb
     WHERE table_schema = 'public'
       AND has_column_privilege($1::name, table_name::text, column_name::text, verb)
     GROUP BY verb, table_name
     UNION ALL
    SELECT verb, tablename, '{}'
      FROM pg_tables, unnest(ARRAY['DELETE', 'TRUNCATE', 'TRIGGER']) AS verb
     WHERE schemaname = 'public' AND has_table_privilege($1::name, tablename::text, verb)
"""


@pytest.mark.parametrize("role", WRITES)
async def test_gateway_and_platform_write_these_columns_and_no_other(
    postgres: PrivatePostgres, url_of: UrlOf, role: str
) -> None:
    owner = await asyncpg.connect(postgres.url)
    rows = await owner.fetch(_WRITABLE, role)
    await owner.close()

    assert {(row["verb"], row["table_name"]): set(row["columns"]) for row in rows} == WRITES[role]


@pytest.mark.parametrize("role", ROLES)
async def test_a_thief_can_do_no_more_than_the_role_may(url_of: UrlOf, role: str) -> None:
    connection = await asyncpg.connect(url_of(role))
    for statement in FORBIDDEN[role]:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()


async def test_no_role_that_writes_runs_can_make_one_canceled_without_a_proof(
    postgres: PrivatePostgres, url_of: UrlOf
) -> None:
    owner = await asyncpg.connect(postgres.url)
    await owner.execute("INSERT INTO runs (run_id) VALUES (71)")
    for role in ("worker", "ops"):
        connection = await asyncpg.connect(url_of(role))
        with pytest.raises(asyncpg.CheckViolationError, match="canceled_exactly_with_proof"):
            await connection.execute(
                "UPDATE runs SET status = 'canceled', finished_at = now() WHERE run_id = 71"
            )
        await connection.close()
    await owner.execute("DELETE FROM runs WHERE run_id = 71")
    await owner.close()


async def test_no_role_can_prune_what_is_recent(postgres: PrivatePostgres, url_of: UrlOf) -> None:
    owner = await asyncpg.connect(postgres.url)
    await owner.execute(
        "INSERT INTO runs (run_id, status, finished_at, proof, created_at)"
        " VALUES (72, 'canceled', now(), 'never_started', now() - interval '6 days')"
    )
    for role in ("worker", "ops"):
        connection = await asyncpg.connect(url_of(role))
        # As if it had ended long ago: both may write that.
        await connection.execute(
            "UPDATE runs SET finished_at = now() - interval '1 year' WHERE run_id = 72"
        )
        begun = await connection.fetchval(sql.upkeep.BEGIN_PRUNE, "thief", "{}")
        await connection.execute(_PRUNE.format(days=8), begun)
        with pytest.raises(asyncpg.InvalidParameterValueError, match="last 7 days"):
            await connection.execute(_PRUNE.format(days=6), begun)
        with pytest.raises(asyncpg.InvalidParameterValueError, match="last 7 days"):
            await connection.execute("SELECT prune_history($1, NULL, 9, false)", begun)
        assert await owner.fetchval("SELECT count(*) FROM runs WHERE run_id = 72") == 1
        await connection.close()
    await owner.execute("DELETE FROM runs WHERE run_id = 72")
    await owner.close()


@pytest.mark.parametrize("role", ROLES)
async def test_no_role_can_change_the_schema(url_of: UrlOf, role: str) -> None:
    connection = await asyncpg.connect(url_of(role))
    for statement in (
        "CREATE TABLE mine (id int)",
        "ALTER TABLE runs ADD COLUMN mine int",
        "ALTER TABLE runs DROP CONSTRAINT error_is_explained",
        "DROP TABLE runs",
        "TRUNCATE runs",
        "DELETE FROM cancellations",
        "INSERT INTO schema_migrations VALUES (99, 'mine')",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE ROLE mine",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()
