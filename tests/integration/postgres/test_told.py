"""What the triggers write into the outbox, row by row (migration 0017)."""

import json
from typing import Any, Final
from uuid import uuid4

import asyncpg
import pytest

from tools.support.rows import (
    CANCELING,
    IN_EACH_STATE,
    NOW,
    QUEUED,
    RUNNING,
    Connection,
    Row,
    insert,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

LATER: Final = "2026-01-02T03:04:06+00:00"
ADDRESS: Final = "amq.rabbitmq.reply-to.a"
PROVED: Final = {"ended": "killed", "proof": "cgroup_empty"}
LOST: Final = """status = 'error', error = 'lost', loss = '{"cause": "host_rebooted"}'"""
CANCELED: Final = "status = 'canceled', proof = 'cgroup_empty'"


async def _run(database: Connection, row: Row) -> None:
    """Add run 1, of which nothing is told yet."""
    await insert(database, "runs", {"run_id": 1, **row})
    await database.execute("DELETE FROM outbox")


async def _command(database: Connection, **fields: Any) -> str:
    row = {"command_id": str(uuid4()), "run_id": 1, "via": "direct", "force": False, **fields}
    defaults = {"received_at": NOW, "evidence": {}}
    finished = {} if row.get("outcome") is None else {"finished_at": NOW}
    await insert(database, "cancellations", {**defaults, **finished, **row})
    return str(row["command_id"])


async def _end(database: Connection, values: str) -> None:
    await database.execute(f"UPDATE runs SET finished_at = now(), {values}")  # noqa: S608 - from this file


async def _told(database: Connection) -> list[asyncpg.Record]:
    return await database.fetch("SELECT * FROM outbox ORDER BY event_id")


async def _how_ended(database: Connection) -> str:
    (finished,) = [row for row in await _told(database) if row["type"] == "run.finished"]
    ended: str = json.loads(finished["data"])["ended"]
    return ended


@pytest.mark.parametrize("row", IN_EACH_STATE, ids=lambda row: f"{row['status']}-{len(row)}")
async def test_only_a_run_that_is_queued_is_told_as_registered(
    database: Connection, row: Row
) -> None:
    await insert(database, "runs", {"run_id": 1, "labels": {"a": "b"}, **row})

    types = [event["type"] for event in await _told(database)]
    assert types == (["run.registered"] if row["status"] == "queued" else [])
    assert await database.fetchval("SELECT label FROM run_labels") == "a:b"


@pytest.mark.parametrize(
    ("row", "values", "ended"),
    [
        (RUNNING, "status = 'pass', exit_code = 0", "exited"),
        (RUNNING, "status = 'fail', exit_code = 1", "exited"),
        (RUNNING, LOST, "host_rebooted"),
        (QUEUED, "status = 'canceled', proof = 'never_started'", "never_started"),
        (
            {**QUEUED, "start_before": NOW},
            "status = 'canceled', proof = 'never_started', expired = true",
            "expired",
        ),
    ],
    ids=["pass", "fail", "error", "canceled", "expired"],
)
async def test_the_end_of_a_run_says_how_it_ended(
    database: Connection, row: Row, values: str, ended: str
) -> None:
    await _run(database, row)

    await _end(database, values)

    assert await _how_ended(database) == ended


async def test_a_canceled_run_ended_as_the_first_command_that_was_carried_out_says(
    database: Connection,
) -> None:
    await _run(database, CANCELING)
    await _command(database, outcome="forced", evidence={"ended": "hurried"})
    for received_at, ended in ((LATER, "obeyed"), (NOW, "killed")):
        await _command(
            database,
            outcome="canceled",
            received_at=received_at,
            evidence={**PROVED, "ended": ended},
        )

    await _end(database, CANCELED)

    assert await _how_ended(database) == "killed"


@pytest.mark.parametrize(
    ("values", "outcome"),
    [("status = 'pass', exit_code = 0", "no_op"), (CANCELED, "no_op"), (LOST, None)],
    ids=["pass", "canceled", "error"],
)
async def test_the_end_of_a_run_settles_its_open_commands_unless_something_may_be_left(
    database: Connection, values: str, outcome: str | None
) -> None:
    await _run(database, CANCELING if values == CANCELED else RUNNING)
    await _command(database)

    await _end(database, values)

    assert await database.fetchval("SELECT outcome FROM cancellations") == outcome


async def test_an_outcome_is_told_when_it_changes_to_the_one_who_waits(
    database: Connection,
) -> None:
    await _run(database, CANCELING)
    await _command(database, reply_to=ADDRESS, correlation_id="c1")
    change = "UPDATE cancellations SET outcome = $1, finished_at = now(), evidence = $2"
    for outcome in ("stop_failed", "stop_failed", "canceled", "canceled"):
        await database.execute(change, outcome, json.dumps(PROVED))

    settled = [row for row in await _told(database) if row["type"] == "cancel.settled"]

    assert [json.loads(row["data"])["outcome"] for row in settled] == ["stop_failed", "canceled"]
    assert {(row["reply_to"], row["correlation_id"]) for row in settled} == {(ADDRESS, "c1")}


async def test_a_stop_that_fails_twice_has_one_dead_letter(database: Connection) -> None:
    await _run(database, CANCELING)
    await _command(database)
    for _ in range(2):
        await database.execute(
            "UPDATE cancellations SET outcome = 'stop_failed', finished_at = now()"
        )

    types = [event["type"] for event in await _told(database)]
    assert types == ["cancel.settled", "dead_letter"]


@pytest.mark.parametrize(("reason", "reply_to"), [("unknown_run", ADDRESS), ("stop_failed", None)])
async def test_of_a_failed_stop_the_settled_command_is_the_only_answer(
    database: Connection, reason: str, reply_to: str | None
) -> None:
    await _run(database, QUEUED)
    await database.execute(
        """
        INSERT INTO dead_letters (letter_key, digest, reason, error, attempts, exchange,
                                  routing_key, via, run_id, command_id, body, reply_to)
        VALUES ('k', 'x', $1, 'it was so', 4, 'e', 'run.cancel', 'direct', 1, gen_random_uuid(),
                'x', $2)
        """,
        reason,
        ADDRESS,
    )

    (rejected,) = await _told(database)

    assert (rejected["type"], rejected["reply_to"]) == ("cancel.rejected", reply_to)
