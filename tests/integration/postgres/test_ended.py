"""Of what clients wait for, which has ended: one statement for all of them."""

from collections.abc import Iterable
from uuid import UUID, uuid4

import pytest

from shared.postgres import sql
from tools.support.rows import (
    CANCELING,
    ERROR,
    FAIL,
    NEVER_STARTED,
    NOW,
    PASS,
    QUEUED,
    RUNNING,
    STOPPED,
    Connection,
    insert,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

GO_ON = (QUEUED, RUNNING, CANCELING)
OVER = (PASS, FAIL, ERROR, NEVER_STARTED, STOPPED)
ALL = range(1, len(GO_ON) + len(OVER) + 1)
PASSED = ALL[len(GO_ON)]


async def _add_runs(database: Connection) -> None:
    for run_id, row in zip(ALL, (*GO_ON, *OVER), strict=True):
        identity = {"launch_id": str(uuid4())} if "launch_id" in row else {}
        await insert(database, "runs", {"run_id": run_id, **row, **identity})


async def _ended(
    database: Connection, runs: Iterable[int], commands: Iterable[UUID]
) -> set[int | UUID]:
    rows = await database.fetch(sql.requests.LIST_ENDED, list(runs), list(commands))
    assert all((row["run_id"] is None) != (row["command_id"] is None) for row in rows)
    return {row["command_id"] or row["run_id"] for row in rows}


async def test_a_run_that_is_asked_for_has_ended_if_it_is_over(database: Connection) -> None:
    await _add_runs(database)
    over = set(ALL[len(GO_ON) :])

    assert await _ended(database, ALL, []) == over
    for run_id in ALL:
        assert await _ended(database, [run_id], []) == over & {run_id}


async def test_a_command_that_is_asked_for_has_ended_if_it_has_its_outcome(
    database: Connection,
) -> None:
    await _add_runs(database)
    is_open, settled, other = (uuid4() for _ in range(3))
    for command_id in (is_open, settled, other):
        end = {} if command_id == is_open else {"outcome": "no_op", "finished_at": NOW}
        await insert(
            database,
            "cancellations",
            {"command_id": str(command_id), "run_id": 3, "via": "rest", "force": False}
            | {"evidence": {}, **end},
        )

    assert await _ended(database, [], [is_open, settled, uuid4()]) == {settled}
    assert await _ended(database, [], [is_open]) == set()
    assert await _ended(database, [PASSED], [other]) == {PASSED, other}
