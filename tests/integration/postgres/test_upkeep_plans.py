"""Old records are found, and deleted, by indexes alone, however many records there are."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

import asyncpg
import pytest
import pytest_asyncio

from shared.postgres import sql
from tools.bench.filled.fill import fill
from tools.bench.filled.sizes import Sizes
from tools.services import Services
from tools.services.databases import new_database
from tools.support.rows import Connection

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SIZES: Final = Sizes(runs=20_000, cancellations=7_000, letters=2_000, hosts=50)
_TABLES: Final = (
    *("runs", "run_labels", "cancellations", "dead_letters", "dead_letter_actions"),
    *("host_actions", "audit"),
)
_SCANS: Final = """
    SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE relname = ANY ($1)
"""
_BLOCKS: Final = re.compile(r"Buffers: shared (?:hit=(\d+))?(?: ?read=(\d+))?")
_BEFORE: Final = "now() - interval '90 days'"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(services: Services, template: str) -> AsyncIterator[Connection]:
    async with new_database(services, template) as url:
        await fill(url, _SIZES, lambda line: None)
        opened = await asyncpg.connect(url)
        yield opened
        await opened.close()


async def _audit(connection: Connection) -> int:
    audit_id: int = await connection.fetchval(sql.upkeep.BEGIN_PRUNE, "alice", "{}")
    return audit_id


@pytest.mark.parametrize(
    ("function", "most_blocks_each"),
    [
        ("prune_runs({audit}, {before}, '-infinity', 0, 500, false, false)", 100),
        ("prune_runs({audit}, {before}, '-infinity', 0, 500, true, true)", 130),
        ("prune_letters({audit}, {before}, '-infinity', 0, 500, false, true)", 60),
        ("prune_history({audit}, {before}, 500, true)", 20),
        ("expire_unstarted({audit}, {before}, 0, 500)", 60),
        ("prunable_runs({before}, '-infinity', 0, 500, false, false)", 40),
        ("prunable_letters({before}, '-infinity', 0, 500, false, false)", 20),
    ],
)
async def test_what_is_old_is_found_by_indexes(
    filled: Connection, function: str, most_blocks_each: int
) -> None:
    transaction = filled.transaction()
    await transaction.start()
    try:
        call = function.format(audit=await _audit(filled), before=_BEFORE)
        for _ in range(6):  # the sixth plan of a statement is kept (PREPARE, "Notes")
            await filled.execute(f"SELECT {call.replace(' 500', ' 5')}")
        before = {row["relname"]: row["seq_scan"] for row in await filled.fetch(_SCANS, _TABLES)}

        plan = await filled.fetch(f"EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM {call}")  # noqa: S608 - a test's

        after = {row["relname"]: row["seq_scan"] for row in await filled.fetch(_SCANS, _TABLES)}
        assert after == before
        found = _BLOCKS.search("\n".join(row[0] for row in plan))
        assert found is not None
        assert sum(map(int, found.groups(default="0"))) / 500 < most_blocks_each
    finally:
        await transaction.rollback()


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT count(*) FROM runs WHERE finished_at > {recent}", "runs_by_end"),
        (
            "SELECT count(*) FROM cancellations WHERE received_at > {recent}",
            "cancellations_by_time",
        ),
        ("SELECT FROM audit ORDER BY done_at DESC, audit_id DESC LIMIT 50", "audit_by_time"),
        (
            "SELECT FROM host_actions ORDER BY done_at DESC, action_id DESC LIMIT 50",
            "host_actions_by_time",
        ),
        (
            "SELECT FROM dead_letter_actions ORDER BY done_at DESC, action_id DESC LIMIT 50",
            "dead_letter_actions_by_time",
        ),
    ],
)
async def test_what_is_recent_is_found_by_its_time(
    filled: Connection, query: str, index: str
) -> None:
    await filled.execute("SET enable_seqscan = off")  # some of these tables are small here
    wanted = query.format(recent="now() - interval '15 minutes'")
    plan = "\n".join(row[0] for row in await filled.fetch(f"EXPLAIN {wanted}"))
    await filled.execute("RESET enable_seqscan")
    assert index in plan, plan


@pytest.mark.parametrize(
    "labels",
    [["branch:feature-7"], ["repository:repo-7"], ["branch:feature-7", "repository:repo-7"]],
)
async def test_runs_with_labels_are_gone_through_from_the_newest_on(
    filled: Connection, labels: list[str]
) -> None:
    plan = await filled.fetch(
        f"EXPLAIN (ANALYZE, BUFFERS) {sql.runs.LIST_LABELED_RUNS}", None, None, None, 20, labels
    )
    shown = "\n".join(row[0] for row in plan)
    assert "Seq Scan on run" not in shown, shown
    found = _BLOCKS.search(shown)
    assert found is not None
    # Of 667 runs with that label in one repository, 20 are looked at.
    assert sum(map(int, found.groups(default="0"))) < 1000, shown


async def test_old_runs_are_found_by_the_time_they_were_added(filled: Connection) -> None:
    plan = await filled.fetch(
        f"EXPLAIN (ANALYZE, BUFFERS) {sql.runs.LIST_OLD_RUNS}",
        None,
        None,
        timedelta(days=300),
        20,
    )
    shown = "\n".join(row[0] for row in plan)
    assert "runs_by_addition" in shown, shown
    found = _BLOCKS.search(shown)
    assert found is not None
    assert sum(map(int, found.groups(default="0"))) < 200, shown
