"""What a prune deletes, and what it keeps."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import asyncpg
import pytest
import pytest_asyncio

from tests.support.records.aged import (
    OLD,
    OLD_AT,
    RECENT,
    RECENT_AT,
    add_action,
    add_command,
    add_letter,
    add_run,
    database_at,
    prune,
    runs_left,
)
from tools.services import Services
from tools.services.databases import new_database
from tools.support.rows import (
    CANCELING,
    ERROR,
    FAIL,
    NEVER_STARTED,
    PASS,
    RUNNING,
    STOPPED,
    Connection,
    Row,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ALIVE: Final[Row] = {"number": 1, "kept": True}
_GONE: Final[Row] = {"number": 1, "proof": "cgroup_empty", "ended": "obeyed"}
_LOST: Final[Row] = {"cause": "launcher_died"}
_OPEN: Final[Row] = {"outcome": None, "finished_at": None, "evidence": {}}


@dataclass(frozen=True)
class Case:
    name: str
    run: Row = field(default_factory=lambda: NEVER_STARTED)
    commands: tuple[Row, ...] = ()
    letters: tuple[Row, ...] = ()


GOES: Final = (
    Case("never started"),
    Case("passed", PASS),
    Case("failed", FAIL),
    Case("stopped", STOPPED, ({},)),
    Case("lost, with a proof", ERROR),
    Case("lost, on an abandoned host", {**ERROR, "host": "gone", "loss": _LOST}),
    Case("left something, now gone", {**PASS, "left_behind": _GONE}),
    Case("containers removed", {**PASS, "containers_in": "/c", "containers_removed": True}),
    Case(
        "ended containers that it was to keep",
        {**PASS, "containers_in": "/c", "leftovers": "keep"},
    ),
    Case("several commands", STOPPED, ({}, {"outcome": "stop_failed"})),
    Case("discarded letter", letters=({},)),
    Case("replayed letter", letters=({"state": "replayed"},)),
)
STAYS: Final = (
    Case("ended recently", {**NEVER_STARTED, "finished_at": RECENT}),
    # As a worker could write it, to have recent evidence removed.
    Case("added recently", {**NEVER_STARTED, "created_at": RECENT}),
    Case("queued, added recently", {"status": "queued", "created_at": RECENT}),
    Case("running", RUNNING),
    Case("canceling", CANCELING),
    Case("lost, without a proof", {**ERROR, "loss": _LOST}),
    Case("lost, on a host abandoned recently", {**ERROR, "host": "going", "loss": _LOST}),
    Case("left something alive", {**PASS, "left_behind": _ALIVE, "leftovers": "keep"}),
    Case("containers not removed", {**PASS, "containers_in": "/c"}),
    Case(
        "stopped containers that it was to keep",
        {**PASS, "containers_in": "/c", "leftovers": "keep", "left_behind": _GONE},
    ),
    Case("open command", commands=(_OPEN,)),
    Case("open command beside another", STOPPED, ({}, _OPEN)),
    Case("command received recently", commands=({"received_at": RECENT},)),
    Case("outcome that came recently", commands=({"finished_at": RECENT},)),
    Case("waiting letter", letters=({"state": "waiting"},)),
    Case("letter of recently", letters=({"arrived_at": RECENT},)),
    Case("letter handled recently", letters=({"handled": RECENT},)),
)
IDS: Final = {case.name: number for number, case in enumerate((*GOES, *STAYS), start=1)}
QUEUED: Final = 500
WITH_TIME: Final = 501

_ADD_HOSTS: Final = """
    INSERT INTO hosts (host, boot_id, beat_seconds, abandoned_at)
    VALUES ('gone', gen_random_uuid(), 5, $1), ('going', gen_random_uuid(), 5, $2)
"""
_ADD_QUEUED: Final = """
    INSERT INTO runs (run_id, created_at, start_before)
    VALUES ($1::bigint, $3, NULL), ($2::bigint, $3, now() + interval '1 day')
"""
_ADD_HOST_ACTION: Final = """
    INSERT INTO host_actions (host, action, done_by, run_ids, done_at)
    VALUES ('gone', 'returned', 'worker', '{}', $1)
"""
_ADD_AUDIT: Final = """
    INSERT INTO audit (done_by, action, object, done_at)
    VALUES ('alice', 'signed_in', 'console', $1)
"""


async def _add(connection: Connection, case: Case) -> None:
    run_id = IDS[case.name]
    await add_run(connection, run_id, case.run)
    for command in case.commands:
        await add_command(connection, run_id, **command)
    for letter in case.letters:
        columns = dict(letter)
        handled = columns.pop("handled", OLD)
        letter_id = await add_letter(connection, run_id, **columns)
        await add_action(connection, letter_id, handled)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pruned(services: Services, template: str) -> AsyncIterator[Connection]:
    """After a prune of all the cases."""
    async with new_database(services, template) as url, database_at(url) as database:
        connection = await asyncpg.connect(url)
        await connection.execute(_ADD_HOSTS, OLD_AT, RECENT_AT)
        for case in (*GOES, *STAYS):
            await _add(connection, case)
        await connection.execute(_ADD_QUEUED, QUEUED, WITH_TIME, OLD_AT)
        for at in (OLD_AT, RECENT_AT):
            await connection.execute(_ADD_HOST_ACTION, at)
            await connection.execute(_ADD_AUDIT, at)
        await connection.execute("TRUNCATE outbox")

        result = await prune(database)

        assert result.failed is None
        yield connection
        await connection.close()


@pytest.mark.parametrize("case", GOES, ids=lambda case: case.name)
async def test_a_run_with_which_all_is_done_goes_with_its_records(
    pruned: Connection, case: Case
) -> None:
    run_id = IDS[case.name]
    for table in ("runs", "run_labels", "cancellations", "dead_letters"):
        found = await pruned.fetch(f"SELECT FROM {table} WHERE run_id = $1", run_id)
        assert not found, table


@pytest.mark.parametrize("case", STAYS, ids=lambda case: case.name)
async def test_a_run_that_matters_stays_with_its_commands(pruned: Connection, case: Case) -> None:
    run_id = IDS[case.name]
    assert run_id in await runs_left(pruned)
    commands = await pruned.fetch("SELECT FROM cancellations WHERE run_id = $1", run_id)
    assert len(commands) == len(case.commands)
    letters = await pruned.fetch("SELECT FROM dead_letters WHERE run_id = $1", run_id)
    assert len(letters) == len(case.letters)


async def test_a_queued_run_expires_unless_it_has_a_time_to_start_before(
    pruned: Connection,
) -> None:
    rows = await pruned.fetch(
        "SELECT status, expired, proof FROM runs WHERE run_id = ANY ($1) ORDER BY run_id",
        [QUEUED, WITH_TIME],
    )
    assert [tuple(row) for row in rows] == [
        ("canceled", True, "never_started"),
        ("queued", False, None),
    ]


async def test_only_the_run_that_expired_has_an_event(pruned: Connection) -> None:
    rows = await pruned.fetch("SELECT type, run_id, data ->> 'ended' AS ended FROM outbox")
    assert [tuple(row) for row in rows] == [("run.finished", QUEUED, "expired")]


@pytest.mark.parametrize("table", ["host_actions", "audit"])
async def test_old_actions_go_and_recent_ones_stay(pruned: Connection, table: str) -> None:
    rows = await pruned.fetch(f"SELECT done_at FROM {table} WHERE action <> 'pruned'")  # noqa: S608 - a test's
    assert [row["done_at"] for row in rows] == [RECENT_AT]


async def test_the_audit_says_what_was_pruned_and_by_whom(pruned: Connection) -> None:
    row = await pruned.fetchrow(
        "SELECT done_by, (detail #>> '{pruned,runs}')::int AS runs,"
        " (detail #>> '{pruned,expired}')::int AS expired, detail ->> 'before' AS before"
        " FROM audit WHERE action = 'pruned'"
    )
    assert row is not None
    assert tuple(row)[:3] == ("alice", len(GOES), 1)
    assert OLD < row["before"] < RECENT
