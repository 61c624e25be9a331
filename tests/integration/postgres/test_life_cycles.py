"""A run's life by the guarded statements: the legal ways lead on, terminal states are final."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.postgres import sql
from tools.support.rows import (
    IDENTITY,
    IN_EACH_STATE,
    PASS,
    RUNNING,
    Connection,
    Row,
    insert,
    registration,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

_CLAIM = (
    1,
    "h1",
    UUID(IDENTITY["boot_id"]),
    100,
    5,
    99,
    4,
    0,
    UUID(IDENTITY["launch_id"]),
    "session",
    None,
    "4026531836:1",
    None,
)
_LAUNCH = UUID(IDENTITY["launch_id"])
_OTHER_LAUNCH = UUID(int=7)
_AT = datetime(2026, 1, 2, tzinfo=UTC)
_COMPLETE = ([1], [99], [4])
_BOOT_ID = UUID(IDENTITY["boot_id"])
_GONE = '{"proof": "scans_empty"}'
_CLEARED: Row = {**PASS, "left_behind": {"number": 1, "proof": "cgroup_empty"}}


def _decided(
    command: UUID | None = None,
    *,
    outcome: str | None = None,
    new_grace: float | None = None,
    force: bool = False,
    reason: str | None = None,
) -> tuple[Any, ...]:
    """Arguments of what was decided on one command on run 1."""
    command = command or uuid4()
    evidence = '{"proof": "never_started"}' if outcome == "canceled" else "{}"
    asked = (
        [command],
        [1],
        ["rest"],
        [None],
        [None],
        [reason],
        [force],
        [None],
        [None],
    )
    return (
        *asked,
        ["{}"],
        [None],
        [None],
        [None],
        [None],
        [outcome],
        [evidence],
        [new_grace],
        [force],
        0,
    )


# Every statement that changes a run, as a worker of the run's own host would execute it.
TRANSITIONS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "claim": (sql.runs.CLAIM_RUN, _CLAIM),
    "claim again": (sql.healing.CLAIM_AGAIN, (*_CLAIM, _AT)),
    "cancel queued": (sql.decisions.RECORD, _decided(outcome="canceled")),
    "begin stop": (sql.decisions.RECORD, _decided(new_grace=10.0)),
    "force": (sql.decisions.RECORD, _decided(force=True)),
    "leave it": (sql.decisions.RECORD, _decided()),
    "record canceled": (sql.endings.RECORD_CANCELED_WAITING, ([1], [_GONE], [_LAUNCH])),
    "record canceled with others": (sql.endings.RECORD_CANCELED, ([1], [_GONE], [None])),
    "record canceled of another launch": (
        sql.endings.RECORD_CANCELED_WAITING,
        ([1], [_GONE], [_OTHER_LAUNCH]),
    ),
    "pass": (sql.endings.COMPLETE, (*_COMPLETE, [0], _BOOT_ID, "4026531836:1", [None])),
    "fail": (sql.endings.COMPLETE, (*_COMPLETE, [3], _BOOT_ID, "4026531836:1", [None])),
    "pass of another launcher": (
        sql.endings.COMPLETE,
        ([1], [99], [5], [0], _BOOT_ID, "4026531836:1", [None]),
    ),
    "pass of another boot": (
        sql.endings.COMPLETE_WAITING,
        (*_COMPLETE, [0], UUID(int=7), "4026531836:1", [None]),
    ),
    "complete again": (sql.healing.COMPLETE_AGAIN, (1, _LAUNCH, "fail", 3, None, _AT)),
    "complete again of another launch": (
        sql.healing.COMPLETE_AGAIN,
        (1, _OTHER_LAUNCH, "fail", 3, None, _AT),
    ),
    "note exit code again": (sql.healing.NOTE_EXIT_CODE_AGAIN, (1, _LAUNCH, 3)),
    "note exit code of another launch": (
        sql.healing.NOTE_EXIT_CODE_AGAIN,
        (1, _OTHER_LAUNCH, 3),
    ),
    "abandoned": (sql.hosts.LOSE_RUNS_OF_ABANDONED, ("h1", "ops", "burnt", None)),
    "another host abandoned": (sql.hosts.LOSE_RUNS_OF_ABANDONED, ("h2", "ops", "burnt", None)),
    "rebooted": (sql.hosts.LOSE_RUNS_OF_REBOOTED, ("h1", UUID(int=7))),
    "not rebooted": (sql.hosts.LOSE_RUNS_OF_REBOOTED, ("h1", _BOOT_ID)),
    "another host rebooted": (sql.hosts.LOSE_RUNS_OF_REBOOTED, ("h2", UUID(int=7))),
    "out of sight": (sql.runs.LOSE_RUN_OUT_OF_SIGHT, (1, "4026532000:9")),
    "lost": (sql.runs.RECORD_LAUNCHER_DIED, (1, _LAUNCH, "{}")),
    "lost by another launch": (sql.runs.RECORD_LAUNCHER_DIED, (1, _OTHER_LAUNCH, "{}")),
    "unreported of another launch": (sql.runs.RECORD_UNREPORTED, (1, _OTHER_LAUNCH)),
    "left behind by another launch": (
        sql.runs.NOTE_LEFT_BEHIND,
        (1, _OTHER_LAUNCH, '{"number": 1}', 2.0),
    ),
    # In no state of these is anything left that is not proved gone.
    "leftovers": (sql.runs.RECORD_LEFTOVERS, (1, '{"ended": "survived", "proof": null}')),
    "begin stop of leftovers": (sql.runs.BEGIN_STOP_OF_LEFT_BEHIND, (1, 10.0)),
    "leftovers rebooted": (sql.hosts.PROVE_LOST_OF_REBOOTED, ("h1", UUID(int=7))),
    "kept rebooted": (sql.hosts.PROVE_LEFT_BEHIND_OF_REBOOTED, ("h1", UUID(int=7))),
    "leftovers replaced": (sql.hosts.CLOSE_LOST_OF_REPLACED, ("h1",)),
    "kept replaced": (sql.hosts.CLOSE_LEFT_BEHIND_OF_REPLACED, ("h1",)),
    "expired": (sql.registrations.EXPIRE_ONE, (1,)),
}

# Of a run that is canceled, that and nothing else.
_NOTES_THE_EXIT_CODE: dict[str, str | None] = {
    "pass": None,
    "fail": None,
    "note exit code again": None,
}

LEGAL: dict[str, dict[str, str | None]] = {
    "queued": {
        "cancel queued": "canceled",
        "claim": "running",
        "claim again": "running",
    },
    "running": {
        "begin stop": "canceling",
        "pass": "pass",
        "fail": "fail",
        "complete again": "fail",
        "lost": "error",
        "abandoned": "error",
        "out of sight": "error",
        "rebooted": "error",
    },
    "canceling": {
        "record canceled": "canceled",
        "record canceled with others": "canceled",
        "abandoned": "error",
        "out of sight": "error",
        **_NOTES_THE_EXIT_CODE,
    },
    "canceled": _NOTES_THE_EXIT_CODE,
}


async def _do(database: Connection, transition: str) -> None:
    query, arguments = TRANSITIONS[transition]
    await database.fetchval(query, *arguments)


async def _run(database: Connection) -> Row:
    row = await database.fetchrow(sql.runs.FIND_RUN, 1)
    assert row is not None
    return dict(row)


@pytest.mark.parametrize("transition", TRANSITIONS)
@pytest.mark.parametrize(
    "row", [*IN_EACH_STATE, _CLEARED], ids=lambda row: f"{row['status']}-{len(row)}"
)
async def test_a_transition_leads_where_it_may_and_else_changes_nothing(
    database: Connection, row: Row, transition: str
) -> None:
    await insert(database, "runs", {"run_id": 1, "stop_signal": "SIGTERM", **row})
    before = await _run(database)

    await _do(database, transition)

    after = await _run(database)
    legal = LEGAL.get(row["status"], {})
    if transition not in legal:
        assert after == before
    elif wanted := legal[transition]:
        assert after["status"] == wanted
    else:
        assert {**after, "exit_code": before["exit_code"]} == before


@pytest.mark.parametrize(
    ("life", "end"),
    [
        (["cancel queued"], "canceled"),
        (["claim", "pass"], "pass"),
        (["claim", "fail"], "fail"),
        (["claim", "lost"], "error"),
        (["claim", "begin stop", "record canceled"], "canceled"),
        (["claim", "begin stop", "force", "record canceled"], "canceled"),
        # The late ones lose.
        (["cancel queued", "claim"], "canceled"),
        (["claim", "pass", "begin stop", "record canceled"], "pass"),
        (["claim", "begin stop", "pass"], "canceling"),
        (["claim", "begin stop", "record canceled", "fail"], "canceled"),
        (["claim", "begin stop", "lost", "record canceled"], "canceled"),
        (["claim", "begin stop", "rebooted", "record canceled"], "canceled"),
        (["claim", "begin stop", "abandoned", "record canceled"], "error"),
        (["claim", "abandoned", "pass"], "error"),
        (["claim", "begin stop", "out of sight", "record canceled"], "error"),
        (["claim", "out of sight", "pass"], "error"),
    ],
)
async def test_a_life(database: Connection, life: list[str], end: str) -> None:
    await database.execute(sql.registrations.REGISTER, *registration(1))

    for transition in life:
        await _do(database, transition)

    assert (await _run(database))["status"] == end


async def test_a_stop_that_begins_again_keeps_its_deadline(database: Connection) -> None:
    await insert(database, "runs", {"run_id": 1, **RUNNING, "stop_signal": "SIGTERM"})
    await _do(database, "begin stop")
    first = (await _run(database))["stop_deadline"]

    await database.fetchval(sql.decisions.RECORD, *_decided(new_grace=60.0))

    assert (await _run(database))["stop_deadline"] == first


async def test_force_moves_the_deadline_once_and_keeps_the_first(database: Connection) -> None:
    await insert(database, "runs", {"run_id": 1, **RUNNING, "stop_signal": "SIGTERM"})
    await _do(database, "begin stop")
    begun = await _run(database)

    await _do(database, "force")
    forced = await _run(database)
    await _do(database, "force")

    assert await _run(database) == forced
    assert forced["first_stop_deadline"] == begun["stop_deadline"]
    assert begun["canceling_at"] <= forced["stop_deadline"] < begun["stop_deadline"]


async def test_an_outcome_on_record_is_not_overwritten(database: Connection) -> None:
    await insert(database, "runs", {"run_id": 1, **RUNNING, "stop_signal": "SIGTERM"})
    command = uuid4()

    async def record(outcome: str, reason: str) -> Row:
        arguments = _decided(command, outcome=outcome, reason=reason)
        await database.execute(sql.decisions.RECORD, *arguments)
        (row,) = await database.fetch(sql.runs.LIST_CANCELLATIONS, 1, None)
        return dict(row)

    first = await record("no_op", "first")

    assert await record("stop_failed", "second") == first
