"""Every page reads little, however much is on record: of no large table all of it."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from shared.postgres import sql
from tools.bench.filled.fill import fill
from tools.bench.filled.sizes import Sizes
from tools.services import Services
from tools.services.databases import new_database
from tools.support.rows import Connection
from worker.console.audit.listing import LOOKED_AT
from worker.dead_letters.wanted import Filter, where

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIZES: Final = Sizes(runs=12_000, cancellations=6_000, letters=12_000, hosts=50)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(services: Services, template: str) -> AsyncIterator[Connection]:
    async with new_database(services, template) as url:
        await fill(url, SIZES, lambda line: None)
        connection = await asyncpg.connect(url)
        yield connection
        await connection.close()


@pytest.mark.parametrize("plan", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("looked_at", [51, LOOKED_AT])
@pytest.mark.parametrize("source", sql.audit.SOURCES)
async def test_the_audit_is_read_by_time(
    filled: Connection, source: str, looked_at: int, plan: str
) -> None:
    of = sql.audit.SOURCES[source]
    key = UUID(int=0) if of.key_type == "uuid" else 0
    times = datetime(9000, 1, 1, tzinfo=UTC), key, datetime(1970, 1, 1, tzinfo=UTC)
    await filled.execute(f"SET plan_cache_mode = {plan}")

    rows = await filled.fetch(
        f"EXPLAIN {sql.audit.newest(source, looked_at)}", *times, "alice", None, 51
    )

    shown = "\n".join(row[0] for row in rows)
    assert f"{of.table}_by_time" in shown, shown
    assert "Seq Scan" not in shown, shown


@pytest.mark.parametrize("plan", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize(
    ("statement", "arguments"),
    [
        (sql.now.STOPS, (50,)),
        (sql.now.WAITING, (50,)),
        (sql.now.WAITING_BY_HOST, ()),
        (sql.now.RATES, ()),
        (sql.now.LETTERS, ()),
        (sql.hosts.LIST_HOSTS, (None,)),
        (sql.now.PAGE_OF_HOSTS, ("", 101, None)),
        (sql.now.PAGE_OF_HOSTS, ("", 101, "left")),
        (sql.now.LIVE_ON_HOST, ("host-3", 100)),
        (sql.hosts.LIST_OPEN_COMMANDS, ("host-3",)),
        (sql.now.LATEST_ACTIONS_OF_HOST, ("host-3", 100)),
    ],
    ids=[
        *("stops", "waiting", "waiting by host", "rates", "letters", "hosts", "page of hosts"),
        *("page of hosts that left", "runs of a host", "commands of a host", "history of a host"),
    ],
)
async def test_what_goes_on_now_is_found_among_all_that_was(
    filled: Connection, statement: str, arguments: tuple[object, ...], plan: str
) -> None:
    await filled.execute(f"SET plan_cache_mode = {plan}")

    rows = await filled.fetch(f"EXPLAIN {statement}", *arguments)

    shown = "\n".join(row[0] for row in rows)
    # Of hosts, there are few, and a page counts them all.
    assert not re.search(
        r"Seq Scan on (runs|cancellations|dead_letters|host_actions|dead_letter_actions)", shown
    ), shown


async def test_a_flood_of_the_last_minutes_is_counted_in_part(filled: Connection) -> None:
    rows = await filled.fetch(f"EXPLAIN {sql.now.RATES}")

    shown = "\n".join(row[0] for row in rows)
    for index in ("cancellations_by_time", "runs_by_end", "dead_letters_by_time"):
        assert re.search(rf"Index (Only )?Scan Backward using {index}", shown), shown
    assert shown.count("->  Limit") == 3, shown


@pytest.mark.parametrize("plan", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize(
    ("statement", "more"),
    [
        (sql.runs.FIND_RUN, ()),
        (sql.runs.LIST_CANCELLATIONS, (201,)),
        (sql.dead_letters.LIST_OF_RUN, (201,)),
        (sql.dead_letters.LIST_ACTIONS_OF_RUN, ()),
    ],
    ids=["run", "cancellations", "letters", "actions"],
)
async def test_the_life_of_a_run_is_read_by_its_number(
    filled: Connection, statement: str, more: tuple[int, ...], plan: str
) -> None:
    await filled.execute(f"SET plan_cache_mode = {plan}")

    rows = await filled.fetch(f"EXPLAIN {statement}", 1000, *more)

    shown = "\n".join(row[0] for row in rows)
    assert "Seq Scan" not in shown, shown


@pytest.mark.parametrize(
    ("wanted", "scan"),
    [
        (Filter(), "Index Only Scan using dead_letters_by_state"),
        (Filter(state=None), "Index Only Scan using dead_letters_by_state"),
        (Filter(newer_than=timedelta(days=9)), "Index Scan using dead_letters_by_time"),
    ],
    ids=["waiting", "all", "newer"],
)
async def test_groups_of_letters_are_counted_by_an_index(
    filled: Connection, wanted: Filter, scan: str
) -> None:
    condition = where(wanted)
    query = sql.letter_lists.groups(condition.text, condition.after())

    async with filled.transaction():
        await filled.execute(sql.letter_lists.PLAN)
        rows = await filled.fetch(f"EXPLAIN {query}", *condition.arguments, 1000)

    shown = "\n".join(row[0] for row in rows)
    assert scan in shown, shown


async def test_what_replays_of_a_letter_became_is_found_by_an_index(filled: Connection) -> None:
    rows = await filled.fetch(f"EXPLAIN {sql.dead_letters.LIST_REPLAYS}", 1)

    shown = "\n".join(row[0] for row in rows)
    assert "dead_letters_by_replay" in shown, shown
