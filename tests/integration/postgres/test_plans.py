"""Plans that stay good: made while tables are small, used when they are large."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from shared.postgres import sql
from tools.services import Services
from tools.services.databases import new_database
from tools.support.rows import IDENTITY, Connection

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ADD_RUNNING = f"""
    INSERT INTO runs (run_id, status, started_at, host, boot_id, pid, start_ticks, launcher_pid,
                      launcher_start_ticks, uid, launch_id, containment)
    SELECT n, 'running', now(), 'h1', '{IDENTITY["boot_id"]}', n + 1, 1, n + 1, 1, 0,
           gen_random_uuid(), 'session'
      FROM generate_series($1::int, $2::int) n
"""  # noqa: S608 - of a test's own
_ADD_COMMANDS = """
    INSERT INTO cancellations (command_id, run_id, via, force, outcome, finished_at, evidence)
    SELECT gen_random_uuid(), n % 500 + 1, 'rest', false, 'no_op', now(), '{}'
      FROM generate_series(1, $1::int) n
"""
_PASS = "UPDATE runs SET status = 'pass', exit_code = 0, finished_at = now() WHERE run_id = $1"
_LOOKS_THROUGH_COMMANDS = """
    SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'cancellations'
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(services: Services, template: str) -> AsyncIterator[Connection]:
    async with new_database(services, template) as url:
        opened = await asyncpg.connect(url)
        yield opened
        await opened.close()


async def test_the_end_of_a_run_looks_through_no_table(database: Connection) -> None:
    await database.execute(_ADD_RUNNING, 1, 1000)
    await database.execute(_ADD_COMMANDS, 3)
    await database.execute("VACUUM ANALYZE cancellations")
    # The sixth plan of a statement is kept (PREPARE, "Notes"): for a table of one page.
    for run_id in range(1, 10):
        await database.execute(_PASS, run_id)
    await database.execute(_ADD_COMMANDS, 5000)

    async with database.transaction():
        before = await database.fetchval(_LOOKS_THROUGH_COMMANDS)
        await database.execute(_PASS, 600)
        assert await database.fetchval(_LOOKS_THROUGH_COMMANDS) == before


async def test_what_tells_of_a_batch_compares_no_row_with_each_other(database: Connection) -> None:
    for name in ("tell_finished", "tell_settled"):
        settings = await database.fetchval("SELECT proconfig FROM pg_proc WHERE proname = $1", name)
        assert "enable_nestloop=off" in settings, f"{name} was replaced without its settings"


@pytest.mark.parametrize(
    ("statement", "types"),
    [
        (sql.endings.RECORD_CANCELED, "bigint[], jsonb[]"),
        (sql.endings.COMPLETE, "bigint[], integer[], bigint[], integer[], uuid, text"),
        (
            sql.decisions.DECIDE_PLAIN,
            "uuid[], bigint[], text[], text[], text[], text[], boolean[], float8[], timestamptz[],"
            " jsonb[], bytea[], bytea[], text[], text[], jsonb[], text, float8[], float8",
        ),
        (
            sql.decisions.RECORD,
            "uuid[], bigint[], text[], text[], text[], text[], boolean[], float8[], timestamptz[],"
            " jsonb[], bytea[], bytea[], text[], jsonb[], float8[], boolean[], int",
        ),
    ],
    ids=["stop recorded", "completion", "plain commands", "commands"],
)
async def test_runs_are_found_by_their_ids_not_by_what_state_they_are_in(
    database: Connection, statement: str, types: str
) -> None:
    # Nothing is canceling while this is planned: by state would be the shortest way, today.
    await database.execute("ANALYZE runs, cancellations")
    name = f"p{uuid4().hex}"
    await database.execute(f"PREPARE {name} ({types}) AS {statement}")
    nothing = ", ".join("NULL" for _ in types.split(", "))
    await database.execute("SET plan_cache_mode = force_generic_plan")

    plan = "\n".join(row[0] for row in await database.fetch(f"EXPLAIN EXECUTE {name} ({nothing})"))

    assert "runs_pkey" in plan
    assert "runs_by_status" not in plan
    assert "runs_live_by_host" not in plan


async def test_superseded_runs_are_looked_for_among_those_that_are_not_over(
    database: Connection,
) -> None:
    # As it is after a while: nearly all runs are over.
    await database.execute(
        "INSERT INTO runs (run_id, status, finished_at, proof)"
        " SELECT n, 'canceled', now(), 'never_started' FROM generate_series(10001, 30000) n"
    )
    await database.execute("ANALYZE runs, cancellations")
    await database.execute(
        f"PREPARE superseded (jsonb, bigint, int) AS {sql.cancellations.LIST_SUPERSEDED}"
    )
    await database.execute("SET plan_cache_mode = force_generic_plan")

    plan = "\n".join(
        row[0] for row in await database.fetch("EXPLAIN EXECUTE superseded (NULL, NULL, NULL)")
    )

    assert "runs_by_status" in plan
    assert "Seq Scan on runs" not in plan
