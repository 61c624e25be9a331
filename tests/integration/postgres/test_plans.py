"""Plans that stay good: made while tables are small, used when they are large."""

import re
from collections.abc import AsyncIterator
from typing import Final
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from shared.limits import BIGINT_MAX
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
        await opened.execute(_ADD_RUNNING, 1, 1000)
        await opened.execute(_ADD_COMMANDS, 3)
        await opened.execute("VACUUM ANALYZE cancellations")
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def rolled_back(database: Connection) -> AsyncIterator[Connection]:
    """What a test adds, and the statistics of it, are there for no other."""
    transaction = database.transaction()
    await transaction.start()
    yield database
    await transaction.rollback()


async def test_the_end_of_a_run_looks_through_no_table(database: Connection) -> None:
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
        (sql.endings.RECORD_CANCELED, "bigint[], jsonb[], uuid[]"),
        (sql.endings.FIND_OWN, "bigint[], integer[], bigint[], uuid, text"),
        (sql.endings.COMPLETE, "bigint[], integer[], bigint[], integer[], uuid, text, jsonb[]"),
        (
            sql.decisions.DECIDE_PLAIN,
            "uuid[], bigint[], text[], text[], text[], text[], boolean[], float8[], timestamptz[],"
            " jsonb[], text[], text[], bytea[], bytea[], text[], text[], jsonb[], text, float8[],"
            " float8",
        ),
        (
            sql.decisions.RECORD,
            "uuid[], bigint[], text[], text[], text[], text[], boolean[], float8[], timestamptz[],"
            " jsonb[], text[], text[], bytea[], bytea[], text[], jsonb[], float8[], boolean[], int",
        ),
    ],
    ids=["stop recorded", "own runs", "completion", "plain commands", "commands"],
)
async def test_runs_are_found_by_their_ids_not_by_what_state_they_are_in(
    rolled_back: Connection, statement: str, types: str
) -> None:
    # Nothing is canceling while this is planned: by state would be the shortest way, today.
    await rolled_back.execute("ANALYZE runs, cancellations")
    name = f"p{uuid4().hex}"
    await rolled_back.execute(f"PREPARE {name} ({types}) AS {statement}")
    nothing = ", ".join("NULL" for _ in types.split(", "))
    await rolled_back.execute("SET plan_cache_mode = force_generic_plan")

    plan = "\n".join(
        row[0] for row in await rolled_back.fetch(f"EXPLAIN EXECUTE {name} ({nothing})")
    )

    assert "runs_pkey" in plan
    assert "runs_by_status" not in plan
    assert "runs_live_by_host" not in plan
    assert "runs_with_leftovers" not in plan


@pytest.mark.parametrize(
    ("statement", "parameters"), [(sql.registrations.EXPIRE, 1), (sql.hosts.BEAT, 2)]
)
async def test_runs_that_did_not_start_in_time_are_found_by_that_time(
    rolled_back: Connection, statement: str, parameters: int
) -> None:
    """Every host asks for them with each heartbeat, however many runs are queued."""
    await rolled_back.execute(
        "INSERT INTO runs (run_id, start_before)"
        " SELECT n, now() + interval '1 day' FROM generate_series(10001, 20000) n"
    )
    await rolled_back.execute("ANALYZE runs")
    name = f"p{uuid4().hex}"
    await rolled_back.execute(f"PREPARE {name} AS {statement}")
    nothing = ", ".join(parameters * ["NULL"])
    await rolled_back.execute("SET plan_cache_mode = force_generic_plan")

    plan = "\n".join(
        row[0] for row in await rolled_back.fetch(f"EXPLAIN EXECUTE {name} ({nothing})")
    )

    assert "using runs_to_expire" in plan
    assert "Index Cond: (start_before <= statement_timestamp())" in plan


# Some in each status, on 50 hosts, on 20 branches, of 2 systems.
_ADD_MANY_RUNS: Final = f"""
    INSERT INTO runs (run_id, status, labels, exit_code, started_at, finished_at, host, boot_id,
                      pid, start_ticks, launcher_pid, launcher_start_ticks, uid, launch_id,
                      containment)
    SELECT n, CASE WHEN ran THEN 'pass' ELSE 'queued' END,
           jsonb_build_object('branch', 'b' || n % 20, 'os', 'o' || n % 2),
           CASE WHEN ran THEN 0 END, CASE WHEN ran THEN now() END, CASE WHEN ran THEN now() END,
           CASE WHEN ran THEN 'h' || n % 50 END,
           CASE WHEN ran THEN '{IDENTITY["boot_id"]}'::uuid END, CASE WHEN ran THEN n + 1 END,
           CASE WHEN ran THEN 1 END, CASE WHEN ran THEN n + 1 END, CASE WHEN ran THEN 1 END,
           CASE WHEN ran THEN 0 END, CASE WHEN ran THEN gen_random_uuid() END,
           CASE WHEN ran THEN 'session' END
      FROM generate_series(1001, 201000) n, LATERAL (SELECT n % 100 > 0 AS ran) r
"""  # noqa: S608 - of a test's own
_BLOCKS_READ: Final = re.compile(r"Buffers: shared (?:hit=(\d+))?(?: read=(\d+))?")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def many_runs(services: Services, template: str) -> AsyncIterator[Connection]:
    async with new_database(services, template) as url:
        opened = await asyncpg.connect(url)
        # What tells of each would take longer than the runs themselves.
        await opened.execute("ALTER TABLE runs DISABLE TRIGGER USER")
        await opened.execute(_ADD_MANY_RUNS)
        await opened.execute(
            "INSERT INTO run_labels SELECT key || ':' || value, run_id"
            " FROM runs, jsonb_each_text(labels)"
        )
        await opened.execute("VACUUM ANALYZE runs, run_labels, cancellations")
        yield opened
        await opened.close()


@pytest.mark.parametrize("before", [BIGINT_MAX, 100_000], ids=["newest", "in the middle"])
@pytest.mark.parametrize("plan", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize(
    ("statement", "filters", "looked_at", "most_blocks"),
    [
        (sql.requests.LIST_ALL, (None, None, []), 51, 800),
        (sql.requests.LIST_BY_STATUS, ("queued", None, []), 51, 800),
        (sql.requests.LIST_BY_STATUS, ("pass", None, []), 51, 800),
        (sql.requests.LIST_BY_HOST, (None, "h7", []), 51, 800),
        (sql.requests.LIST_BY_LABEL, (None, None, ['{"branch": "b7"}']), 51, 800),
        # Nothing is found: all that a page may look at is looked at.
        (sql.requests.LIST_BY_LABEL, ("fail", None, ['{"branch": "b7"}']), 5000, 25_000),
        (sql.requests.LIST_BY_HOST, ("fail", "h7", []), 5000, 25_000),
    ],
    ids=["all", "queued", "pass", "host", "label", "label and status", "host and status"],
)
async def test_a_list_reads_little_of_many_runs(
    many_runs: Connection,
    statement: str,
    filters: tuple[object, ...],
    looked_at: int,
    most_blocks: int,
    plan: str,
    before: int,
) -> None:
    arguments = [*filters, before, looked_at, 51, *["branch:b7"] * ("$7" in statement)]
    await many_runs.execute(f"SET plan_cache_mode = {plan}")

    rows = await many_runs.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", *arguments)
    shown = "\n".join(row[0] for row in rows)

    blocks = _BLOCKS_READ.search(shown)
    assert blocks is not None, shown
    assert sum(map(int, blocks.groups(default="0"))) < most_blocks, shown
    assert "Seq Scan on run" not in shown, shown


async def test_superseded_runs_are_looked_for_among_those_that_are_not_over(
    rolled_back: Connection,
) -> None:
    # As it is after a while: nearly all runs are over.
    await rolled_back.execute(
        "INSERT INTO runs (run_id, status, finished_at, proof)"
        " SELECT n, 'canceled', now(), 'never_started' FROM generate_series(10001, 110000) n"
    )
    await rolled_back.execute("ANALYZE runs, cancellations")
    await rolled_back.execute(
        f"PREPARE superseded (jsonb, bigint, int) AS {sql.cancellations.LIST_SUPERSEDED}"
    )
    await rolled_back.execute("SET plan_cache_mode = force_generic_plan")

    plan = "\n".join(
        row[0] for row in await rolled_back.fetch("EXPLAIN EXECUTE superseded (NULL, NULL, NULL)")
    )

    assert "runs_by_status" in plan
    assert "Seq Scan on runs" not in plan
