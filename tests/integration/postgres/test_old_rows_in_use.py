"""What each released schema left is read, canceled, replayed and pruned by today's programs."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
import pytest_asyncio
from yarl import URL

from shared.postgres.migrate import known
from tests.support.postgres.old_rows.filling import fill
from tests.support.postgres.old_rows.model import ABANDONED_HOST, HOST, STEP
from tools.schemas.dumps import migrate_to
from tools.schemas.folder import released
from tools.services import Services
from tools.services.databases import new_database
from tools.support.rows import Row
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

RUNS: Final = "SELECT to_jsonb(runs) AS row FROM runs ORDER BY run_id"
OPEN: Final = """
    SELECT count(*) FROM cancellations JOIN runs USING (run_id)
     WHERE outcome IS NULL OR status IN ('running', 'canceling')
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aged(services: Services) -> AsyncIterator[str]:
    """The name of a database that was filled by each released schema, and upgraded each time."""
    async with new_database(services) as url:
        for number in sorted({*released(), *(each.number for each in known())}):
            await migrate_to(url, number)
            if number in released():
                connection = await asyncpg.connect(url)
                await fill(connection, number)
                await connection.close()
        yield URL(url).name


@pytest_asyncio.fixture(loop_scope="module")
async def system(services: Services, aged: str, tmp_path: Path) -> AsyncIterator[System]:
    async with (
        new_database(services, aged) as url,
        System(url, services.amqp_url, tmp_path).running() as running,
    ):
        yield running


async def _runs(system: System) -> dict[int, Row]:
    rows = map(json.loads, (row["row"] for row in await system.database.fetch(RUNS)))
    return {row["run_id"]: row for row in rows}


async def test_each_run_is_listed_and_shown(system: System) -> None:
    runs = await _runs(system)
    url = URL(await system.gateway())
    headers = {"Authorization": f"Bearer {await system.token()}"}

    async def shown(run_id: int) -> Any:
        path = url / f"api/v1/runs/{run_id}"
        async with system.http.get(path, headers=headers) as response:
            assert response.status == 200, await response.text()
            return (await response.json())["status"]

    code, out, err = await system.cli("worker", "runs", "list", "--limit", "10000", "--json")

    assert (code, err) == (0, "")
    assert sorted(run["run_id"] for run in json.loads(out)) == sorted(runs)
    statuses = await asyncio.gather(*map(shown, runs))
    assert statuses == [run["status"] for run in runs.values()]
    some = [run_id for run_id in runs if run_id < 2 * STEP or run_id > 20 * STEP]
    reports = await asyncio.gather(
        *(system.cli("worker", "runs", "show", str(run_id)) for run_id in some)
    )
    assert [err for code, _, err in reports if (code, err) != (0, "")] == []


async def test_its_letters_are_listed_and_shown(system: System) -> None:
    letters = await system.database.fetch("SELECT letter_id FROM dead_letters ORDER BY 1")
    listing = ("worker", "dead-letters", "list", "--state", "all", "--limit", "10000", "--json")

    code, out, err = await system.cli(*listing)

    assert (code, err) == (0, "")
    listed = sorted(letter["letter_id"] for letter in json.loads(out))
    assert listed == [row["letter_id"] for row in letters]
    shown = await asyncio.gather(
        *(system.cli("worker", "dead-letters", "show", str(number)) for number in listed[-7:])
    )
    assert [err for code, _, err in shown if (code, err) != (0, "")] == []


async def test_the_worker_of_their_host_ends_what_was_open(system: System) -> None:
    before = await _runs(system)

    await system.worker(HOST, keep_dead_letters=True)
    await eventually(lambda: system.database.fetchval(OPEN), lambda number: number == 0)
    await eventually(
        lambda: system.database.fetchval("SELECT count(*) FROM outbox"), lambda number: number == 0
    )

    after = await _runs(system)
    became = {"running": "error", "canceling": "canceled"}
    for run_id, run in before.items():
        assert after[run_id]["status"] == became.get(run["status"], run["status"]), run_id
        if run["status"] == "canceling":
            assert after[run_id]["proof"] == "host_rebooted"
    unproved = [
        run_id
        for run_id, run in after.items()
        if run["host"] == HOST and run["status"] == "error" and not (run["loss"] or {}).get("proof")
    ]
    assert unproved == []


async def test_queued_ones_are_canceled_and_letters_replayed(system: System) -> None:
    await system.worker(HOST)
    queued = [run_id for run_id, run in (await _runs(system)).items() if run["status"] == "queued"]
    ids = map(str, queued)

    code, out, err = await system.cli("worker", "runs", "cancel", *ids, "--wait", "30", "--json")

    assert (code, err) == (0, "")
    results = json.loads(out)["results"]
    assert {run["run_id"]: run["outcome"] for run in results} == dict.fromkeys(queued, "canceled")
    replay = ("worker", "dead-letters", "replay", "--all", "--reason", "unknown_run")
    code, out, err = await system.cli(*replay, "--wait", "30", "--json")
    assert (code, err) == (0, ""), out
    after = await _runs(system)
    assert {after[run_id]["status"] for run_id in queued} == {"canceled"}


async def test_what_is_over_is_pruned(system: System) -> None:
    runs = await _runs(system)
    waiting = {
        row["run_id"]
        for row in await system.database.fetch(
            "SELECT run_id FROM dead_letters WHERE state = 'waiting'"
        )
    }

    code, _, err = await system.cli("worker", "prune", "--older-than", "7d", "--json")

    assert (code, err) == (0, "")
    stay = {run_id for run_id, run in runs.items() if _stays(run)} | (waiting & runs.keys())
    assert (await _runs(system)).keys() == stay


def _stays(run: Row) -> bool:
    if run["finished_at"] is None:
        return True
    if run["host"] == ABANDONED_HOST:
        return False
    unproved = [run["loss"]] if run["status"] == "error" else [run["left_behind"]]
    is_lost = run["status"] == "error" or run["left_behind"] is not None
    return is_lost and any(not (each or {}).get("proof") for each in unproved)
