"""The one statement that decides on most commands means what the rule means, in every case."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from shared.commands import CancelCommand
from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import Database, connected
from shared.runs import Run
from shared.states import Outcome, Via
from tools.services import Services
from tools.services.databases import new_database
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
    Row,
    insert,
)
from worker.decisions import store as decision_store
from worker.decisions.rows import rows_of, rules
from worker.decisions.verdict import BeginStop, CommandReused, judge
from worker.messages.reply_address import ReplyAddress
from worker.messages.request import Origin, Original, Request

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOST = "h1"
DEFAULT_GRACE = 10.0
COMMAND_ID = uuid4()
RUNS: Final[dict[str, Row]] = {
    "queued": QUEUED,
    "queued with grace": {**QUEUED, "grace_seconds": 4},
    "running": RUNNING,
    "running with grace": {**RUNNING, "grace_seconds": 4},
    "running elsewhere": {**RUNNING, "host": "h2"},
    "canceling": CANCELING,
    "pass": PASS,
    "pass elsewhere": {**PASS, "host": "h2"},
    "fail": FAIL,
    "lost": ERROR,
    "lost, leftovers possible": {**ERROR, "loss": {"cause": "launcher_died"}},
    "pass, leftovers kept": {**PASS, "left_behind": {"number": 1, "proof": None}},
    "fail, leftovers failed": {
        **FAIL,
        "left_behind": {"number": 1, "proof": None, "deadline": NOW},
    },
    "pass, leftovers stopped": {**PASS, "left_behind": {"number": 1, "proof": "cgroup_empty"}},
    "never started": NEVER_STARTED,
    "stopped": STOPPED,
}
TOLD_BY_STATUS = {
    "queued": Outcome.CANCELED,
    "queued with grace": Outcome.CANCELED,
    "pass": Outcome.NO_OP,
    "pass elsewhere": Outcome.NO_OP,
    "fail": Outcome.NO_OP,
    "pass, leftovers stopped": Outcome.NO_OP,
    "never started": Outcome.NO_OP,
    "stopped": Outcome.NO_OP,
}
BEGUN = {"running", "running with grace"}
COMMANDS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "force": {"force": True},
    "grace": {"grace_seconds": 2.5},
    "no grace": {"grace_seconds": 0},
    "force with grace": {"force": True, "grace_seconds": 2.5},
}
NEW, OPEN, USED = "new", "open", "used for another run"
HISTORIES = (NEW, OPEN, USED, *Outcome)


class _Original(Original):
    """A message, of which no test here looks at more than what is kept."""

    def __init__(self) -> None:
        pass

    def header_and_body(self) -> tuple[bytes, bytes]:
        return b"header", b"body"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(services: Services, template: str) -> AsyncIterator[Database]:
    async with new_database(services, template) as url:
        settings = DatabaseSettings.model_validate({"DATABASE_URL": url})
        async with connected(settings) as opened:
            yield opened


async def _set_up(database: Database, run: str, history: str) -> None:
    async with database.transaction() as connection:
        for table in ("cancellations", "runs", "outbox"):
            await connection.execute(f"DELETE FROM {table}")  # noqa: S608 - TRUNCATE takes longer
        for number in (1, 2):
            row = RUNS[run] if number == 1 else QUEUED
            await insert(connection, "runs", {"stop_signal": "SIGTERM", **row, "run_id": number})
        if history == NEW:
            return
        before: Row = {"command_id": str(COMMAND_ID), "via": "rest", "force": False}
        before |= {"run_id": 2 if history == USED else 1, "evidence": {}}
        if history not in (OPEN, USED):
            proved = {"ended": "obeyed", "proof": "scans_empty"}
            before |= {"outcome": history, "finished_at": NOW, "evidence": proved}
        await insert(connection, "cancellations", before)
        await connection.execute("DELETE FROM outbox")


def _request(fields: dict[str, Any]) -> Request:
    command = CancelCommand(command_id=COMMAND_ID, run_id=1, reason="why", **fields)
    reply = ReplyAddress("amq.rabbitmq.reply-to.a.b", "request-1")
    origin = Origin(Via.DIRECT, "publisher", {"reason": "is cut"}, reply)
    return Request(command, origin, _Original())


async def _by_the_rule(
    database: Database, request: Request
) -> dict[UUID, Outcome | decision_store.RecordedStop]:
    """What `Decider` does with a command that the one statement leaves."""
    async with database.transaction() as connection:
        found = await decision_store.lock_runs(connection, [request], HOST, waits=True)
        situation = found[COMMAND_ID]
        verdict = judge(situation, request.command, host=HOST, default_grace=DEFAULT_GRACE)
        rows = rows_of([(request, verdict)])
        written = await decision_store.record(connection, rows, taking_up=False)
    assert written == {COMMAND_ID}
    if isinstance(verdict, BeginStop):
        return {COMMAND_ID: decision_store.RecordedStop(situation.run, verdict.grace)}
    assert rows[0].outcome is not None
    return {COMMAND_ID: rows[0].outcome}


async def _by_the_statement(
    database: Database, request: Request, *, runs_here: bool = True
) -> dict[UUID, Outcome | decision_store.RecordedStop]:
    return await decision_store.decide_plain(
        database, [request], rules(), HOST, DEFAULT_GRACE, runs_here=lambda _: runs_here
    )


async def _on_record(database: Database) -> dict[str, Any]:
    """All that is; of times, whether they are set, and how long the grace period is."""
    found = {}
    for table, key in (("runs", "run_id"), ("cancellations", "command_id"), ("outbox", "type")):
        rows = await database.fetch(
            f"SELECT to_jsonb(t)::text AS row FROM {table} t ORDER BY {key}"  # noqa: S608
        )
        found[table] = [json.loads(row["row"]) for row in rows]
    (grace,) = await database.fetch(
        "SELECT round(extract(epoch FROM stop_deadline - canceling_at)::numeric, 1) AS seconds"
        "  FROM runs WHERE run_id = 1"
    )
    told = [event["data"] for event in found["outbox"]]
    for row in (*found["runs"], *found["cancellations"], *found["outbox"], *told):
        row.pop("event_id", None)
        for name, value in row.items():
            if name == "at" or name.endswith(("_at", "_deadline")):
                row[name] = value is not None
        row.get("evidence", {}).pop("proved_at", None)
    return {**found, "grace": grace["seconds"]}


def _without_times(
    decided: dict[UUID, Outcome | decision_store.RecordedStop],
) -> list[tuple[Outcome | None, int | None, float | None]]:
    return [
        (None, each.run.run_id, each.grace)
        if isinstance(each, decision_store.RecordedStop)
        else (each, None, None)
        for each in decided.values()
    ]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("command", COMMANDS)
async def test_whatever_the_statement_decides_the_rule_decides_as_well(
    database: Database, run: str, command: str
) -> None:
    request = _request(COMMANDS[command])
    for history in HISTORIES:
        await _set_up(database, run, history)
        before = await _on_record(database)
        decided = await _by_the_statement(database, request)
        after = await _on_record(database)

        is_plain = history == NEW and (run in TOLD_BY_STATUS or run in BEGUN)
        assert bool(decided) == is_plain, f"with a command that is {history}"
        if not decided:
            assert after == before
            continue
        await _set_up(database, run, history)
        assert _without_times(decided) == _without_times(await _by_the_rule(database, request))
        assert after == await _on_record(database)
        if run in TOLD_BY_STATUS:
            assert decided == {COMMAND_ID: TOLD_BY_STATUS[run]}


async def test_the_run_whose_stop_begins_is_as_it_is_on_record(database: Database) -> None:
    await _set_up(database, "running", NEW)

    (begun,) = (await _by_the_statement(database, _request({}))).values()

    (row,) = await database.fetch("SELECT * FROM runs WHERE run_id = 1")
    assert isinstance(begun, decision_store.RecordedStop)
    assert begun.run == Run.from_record(row)


async def test_no_stop_begins_without_the_message_that_its_letter_is_made_of(
    database: Database,
) -> None:
    await _set_up(database, "running", NEW)
    before = await _on_record(database)

    assert await _by_the_statement(database, _request({}), runs_here=False) == {}
    assert await _on_record(database) == before


async def test_the_rule_refuses_what_the_statement_leaves(database: Database) -> None:
    await _set_up(database, "queued", USED)

    assert await _by_the_statement(database, _request({})) == {}
    with pytest.raises(CommandReused):
        await _by_the_rule(database, _request({}))


async def test_a_run_that_is_claimed_in_this_moment_is_decided_or_left(database: Database) -> None:
    claim = (
        "UPDATE runs SET status = 'running', started_at = now(), host = $2, boot_id = $3,"
        " pid = run_id + 2, start_ticks = 5, launcher_pid = 99, launcher_start_ticks = 4, uid = 0,"
        " launch_id = gen_random_uuid(), containment = 'session'"
        " WHERE run_id = $1 AND status = 'queued'"
    )
    runs = range(1, 301)

    async def claim_all() -> None:
        async with database.connection() as connection:
            for run_id in reversed(runs):
                await connection.execute(claim, run_id, HOST, COMMAND_ID)

    requests = [
        Request(CancelCommand(command_id=uuid4(), run_id=run_id), Origin(Via.DIRECT), _Original())
        for run_id in runs
    ]
    for _ in range(5):
        async with database.transaction() as connection:
            for table in ("cancellations", "runs", "outbox"):
                await connection.execute(f"DELETE FROM {table}")  # noqa: S608 - from above
            await connection.execute("INSERT INTO runs (run_id) SELECT generate_series(1, 300)")
        claiming = asyncio.create_task(claim_all())

        decided = await decision_store.decide_plain(
            database, requests, rules(), HOST, DEFAULT_GRACE, runs_here=lambda _: True
        )

        await claiming
        begun = [each for each in decided.values() if isinstance(each, decision_store.RecordedStop)]
        assert {each.run.status for each in begun} <= {"canceling"}
        (canceled,) = await database.fetch(
            "SELECT count(*) AS number FROM runs WHERE status = 'canceled'"
        )
        assert canceled["number"] == len(decided) - len(begun)
