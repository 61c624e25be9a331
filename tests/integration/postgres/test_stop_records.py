"""What is recorded of a stop: of the run and of its commands."""

import json
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import Connection, connected
from shared.states import Outcome, Proof
from tools.support.rows import (
    CANCELING,
    ERROR,
    NOW,
    PASS,
    QUEUED,
    RUNNING,
    STOPPED,
    Row,
    insert,
)
from worker.evidence import Ended, Evidence
from worker.stop import record

KILLED = Evidence(Ended.KILLED, Proof.CGROUP_EMPTY, proved_at=NOW)
LAUNCH = UUID(RUNNING["launch_id"])
OTHER_LAUNCH = UUID(int=7)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Connection]:
    settings = DatabaseSettings.model_validate({"DATABASE_URL": database_url})
    async with connected(settings) as opened, opened.connection() as connection:
        yield connection


async def _run(database: Connection, row: Row) -> None:
    await insert(database, "runs", {"run_id": 1, **row})


async def _command(database: Connection, outcome: Outcome | None = None) -> UUID:
    command_id = uuid4()
    row: Row = {"command_id": str(command_id), "run_id": 1, "via": "rest", "force": False}
    end = {"outcome": outcome, "finished_at": NOW} if outcome else {}
    await insert(database, "cancellations", {**row, "evidence": {}, **end})
    return command_id


async def _outcomes(database: Connection) -> dict[UUID, str | None]:
    rows = await database.fetch("SELECT command_id, outcome FROM cancellations")
    return {row["command_id"]: row["outcome"] for row in rows}


async def test_all_commands_without_a_final_outcome_are_closed(database: Connection) -> None:
    await _run(database, CANCELING)
    is_open, failed, settled = (
        await _command(database),
        await _command(database, Outcome.STOP_FAILED),
        await _command(database, Outcome.NO_OP),
    )

    await record.close_commands(database, 1, Outcome.LEFTOVERS_STOPPED, KILLED)

    assert await _outcomes(database) == {
        is_open: "leftovers_stopped",
        failed: "leftovers_stopped",
        settled: "no_op",
    }
    evidence = await database.fetchval(
        "SELECT evidence::text FROM cancellations WHERE command_id = $1", is_open
    )
    assert json.loads(evidence)["ended"] == "killed"


@pytest.mark.parametrize(
    ("row", "launch_id", "recorded"),
    [
        (CANCELING, LAUNCH, True),
        (CANCELING, None, True),
        (CANCELING, OTHER_LAUNCH, False),
        (RUNNING, LAUNCH, False),
        (STOPPED, LAUNCH, False),
    ],
)
async def test_only_the_launch_that_was_stopped_is_canceled_with_its_commands(
    database: Connection, row: Row, launch_id: UUID | None, recorded: bool
) -> None:
    await _run(database, row)
    command = await _command(database)

    assert await record.record_canceled(database, 1, KILLED, launch_id) is recorded

    assert await _outcomes(database) == {command: "canceled" if recorded else None}
    status = await database.fetchval("SELECT status FROM runs")
    assert status == ("canceled" if recorded else row["status"])


@pytest.mark.parametrize(
    ("row", "launch_id", "undone"),
    [
        (None, LAUNCH, True),
        (QUEUED, LAUNCH, True),
        (RUNNING, LAUNCH, True),
        (CANCELING, LAUNCH, False),
        (CANCELING, OTHER_LAUNCH, True),
        (PASS, LAUNCH, False),
        (ERROR, LAUNCH, False),
        (STOPPED, LAUNCH, False),
    ],
)
async def test_a_stop_is_undone_where_the_launch_runs_or_is_not_known(
    database: Connection, row: Row | None, launch_id: UUID, undone: bool
) -> None:
    if row is not None:
        await _run(database, row)

    assert await record.is_undone(database, 1, launch_id) is undone
