"""A command that waits for another host's worker is on record, and seen wherever one looks."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.http.api import Api
from tests.support.records.hosts import BEAT, abandon, becomes, described
from tests.support.telemetry.exposition import scrape
from tools.support.processes import until_gone
from tools.support.program import DEADLINE
from tools.support.records import Json
from tools.support.system import System
from tools.support.waiting import eventually


@pytest.fixture
async def other(system: System) -> str:
    """A host whose worker is silent, with run 1 on it."""
    await system.worker(host_heartbeat=BEAT)
    name = f"{system.host}-other"
    away = await system.worker(name, host_heartbeat=BEAT)
    await system.launch_bad_child(1, "obeys", socket=system.socket(name))
    await away.kill()
    await becomes(system, name, "silent")
    return name


async def on_record(system: System, command_id: str) -> None:
    await eventually(
        lambda: system.cancellations(1),
        lambda rows: any(str(row["command_id"]) == command_id for row in rows),
    )


def says_that_it_waits(cancellation: Json, host: str) -> bool:
    assert (cancellation["outcome"], cancellation["state"]) == (None, "pending")
    waiting_for = cancellation["waiting_for"]
    since = datetime.fromisoformat(waiting_for["since"])
    assert timedelta() < datetime.now(UTC) - since < timedelta(minutes=1)
    return (waiting_for["host"], waiting_for["host_state"]) == (host, "silent")


async def test_the_status_says_for_whom_it_waits_and_since_when(system: System, other: str) -> None:
    api = Api(await system.gateway(), system.http, await system.token())

    command_id = await system.publish(1, requested_by="alice", reason="old")
    await on_record(system, command_id)

    run = (await api.ask("GET", "/api/v1/runs/1")).body
    assert (run["status"], run["cancellation"]["command_id"]) == ("running", command_id)
    assert says_that_it_waits(run["cancellation"], other)


async def test_it_says_so_too_of_a_host_that_is_not_on_record(system: System, other: str) -> None:
    """Its row was deleted by hand."""
    api = Api(await system.gateway(), system.http, await system.token())
    await on_record(system, await system.publish(1))
    await system.database.execute("DELETE FROM hosts WHERE host = $1", other)

    answer = await api.ask("GET", "/api/v1/runs/1")

    assert answer.status == 200
    assert says_that_it_waits(answer.body["cancellation"], other)


async def test_so_do_the_command_lines_and_the_metrics(system: System, other: str) -> None:
    url = await system.gateway()
    await on_record(system, await system.publish(1, requested_by="alice", reason="old"))

    _, shown, _ = await system.cli("worker", "runs", "show", "1")
    _, as_json, _ = await system.cli("worker", "runs", "show", "1", "--json")
    _, listed, _ = await system.cli("worker", "runs", "list", "--json")
    host = await described(system, other)
    exposed = await scrape(system.http, url)

    assert f"open: it waits for the worker of host {other}, silent since " in shown
    (cancellation,) = json.loads(as_json)["cancellations"]
    assert says_that_it_waits(cancellation, other)
    assert [(run["run_id"], run["cancel"]) for run in json.loads(listed)] == [(1, "pending")]
    (command,) = host["open_commands"]
    assert (command["run_id"], command["requested_by"], command["reason"]) == (1, "alice", "old")
    assert exposed.value("cancel_commands_open", waits_for="host_silent") == 1
    age = exposed.value("cancel_commands_open_oldest_age_seconds", waits_for="host_silent")
    assert age is not None
    assert 0 < age < DEADLINE


async def test_it_is_carried_out_when_that_worker_is_back(system: System, other: str) -> None:
    first = await system.publish(1, reason="first")
    await on_record(system, first)
    second = await system.publish(1, reason="second")
    await on_record(system, second)

    await system.worker(other, host_heartbeat=BEAT)

    assert (await system.outcome_of(first))["outcome"] == "canceled"
    assert (await system.outcome_of(second))["outcome"] in ("canceled", "no_op")
    assert await system.depth(system.topology.dead) == 0


async def test_a_force_that_waited_as_well_ends_the_grace_period(system: System) -> None:
    other = f"{system.host}-other"
    await system.worker(host_heartbeat=BEAT)
    away = await system.worker(other, host_heartbeat=BEAT)
    _, mark = await system.launch_bad_child(1, "ignores_term", socket=system.socket(other))
    await away.kill()
    for fields in ({"grace_seconds": 600}, {"force": True}):
        await on_record(system, last := await system.publish(1, **fields))

    await system.worker(other, host_heartbeat=BEAT)

    assert (await system.outcome_of(last))["outcome"] in ("forced", "canceled")
    await until_gone(mark)


async def test_it_is_answered_when_its_host_is_given_up(system: System, other: str) -> None:
    command_id = await system.publish(1)
    await on_record(system, command_id)

    code, answer, _ = await abandon(system, other)

    assert (code, answer["run_ids"], answer["commands"]) == (0, [1], 1)
    assert (await system.outcome_of(command_id))["outcome"] == "abandoned"


async def test_of_many_that_wait_for_one_run_one_is_enough_and_a_forced_one(
    system: System, other: str
) -> None:
    first = await system.publish(1)
    await on_record(system, first)
    forced = await system.publish(1, force=True)
    await on_record(system, forced)

    more = [await system.publish(1, force=n % 2 == 0) for n in range(6)]

    for command_id in more:
        row = await system.outcome_of(command_id)
        assert (row["outcome"], row["evidence"]) == ("no_op", {"cancel_pending": True})
    waiting = [row for row in await system.cancellations(1) if row["outcome"] is None]
    assert {str(row["command_id"]) for row in waiting} == {first, forced}


async def test_one_on_a_lost_run_is_answered_as_well_when_its_host_is_given_up(
    system: System, other: str
) -> None:
    await system.database.execute(
        "UPDATE runs SET status = 'error', error = 'lost', finished_at = now(),"
        ' loss = \'{"cause": "launcher_died"}\' WHERE run_id = 1'
    )
    command_id = await system.publish(1)
    await on_record(system, command_id)

    await abandon(system, other)

    assert (await system.outcome_of(command_id))["outcome"] == "abandoned"


async def test_its_message_is_not_shown(system: System, other: str) -> None:
    await on_record(system, await system.publish(1, reason="old"))

    code, text, err = await system.cli("worker", "runs", "show", "1", "--json")

    assert (code, err) == (0, "")
    (shown,) = json.loads(text)["cancellations"]
    assert (shown["reason"], shown["outcome"]) == ("old", None)
    assert not [name for name in shown if name.startswith("message")]
