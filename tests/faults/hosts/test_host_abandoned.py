"""A host that will never come back is given up by a person, and that is on record."""

import getpass
import json

import pytest

from shared.postgres import sql
from tests.support.launcher.launching import blocked_in_database
from tests.support.records.hosts import BEAT, abandon, becomes, described
from tools.support.processes import alive, until_gone
from tools.support.system import System


@pytest.fixture
def burnt(system: System) -> str:
    return f"{system.host}-burnt"


async def test_its_runs_say_so_and_its_commands_are_answered(system: System, burnt: str) -> None:
    await system.worker(host_heartbeat=BEAT)
    away = await system.worker(burnt, host_heartbeat=BEAT)
    socket = system.socket(burnt)
    for run_id in (1, 2):
        await system.launch_bad_child(run_id, "ignores_term", socket=socket)
    stopping = await system.publish(2, grace_seconds=600)
    await system.status_becomes(2, "canceling")
    await away.kill()
    waiting = await system.publish(1)
    await becomes(system, burnt, "silent")

    code, answer, _ = await abandon(system, burnt)

    assert code == 0
    assert (answer["run_ids"], answer["already_abandoned"]) == ([1, 2], False)
    for run_id, was in ((1, "running"), (2, "canceling")):
        run = await system.run(run_id)
        by = getpass.getuser()
        assert (run["status"], run["error"]) == (
            "error",
            f"host {burnt} was abandoned by {by}: burnt down",
        )
        loss = json.loads(run["loss"])
        assert (loss["cause"], loss["was"], loss["by"]) == ("host_abandoned", was, by)
        assert "proof" not in loss
    assert (await system.outcome_of(stopping))["outcome"] == "abandoned"
    assert (await system.outcome_of(waiting))["outcome"] == "abandoned"
    assert await system.depth(system.topology.dead) == 0
    host = await described(system, burnt)
    assert host["state"] == "abandoned"
    ((action, reason, run_ids),) = [
        (done["action"], done["reason"], done["run_ids"]) for done in host["actions"]
    ]
    assert (action, reason, run_ids) == ("abandoned", "burnt down", [1, 2])


async def test_a_repeat_changes_nothing(system: System, burnt: str) -> None:
    away = await system.worker(burnt, host_heartbeat=BEAT)
    await system.launch_bad_child(1, "sleeps", socket=system.socket(burnt))
    await away.kill()
    await becomes(system, burnt, "silent")
    await abandon(system, burnt)
    before = await system.run(1), await described(system, burnt)

    code, answer, _ = await abandon(system, burnt, "again")

    assert (code, answer["run_ids"], answer["already_abandoned"]) == (0, [], True)
    after = await system.run(1), await described(system, burnt)
    assert after[0] == before[0]
    assert after[1]["actions"] == before[1]["actions"]


async def test_one_that_is_up_or_unknown_is_not_given_up(system: System) -> None:
    await system.worker(host_heartbeat=BEAT)
    await system.launch_bad_child(1, "sleeps")

    code, _, err = await abandon(system, system.host)
    assert code == 2
    assert "is up: its last heartbeat was" in err
    assert err.rstrip().endswith("stop its worker first")
    assert (await system.run(1))["status"] == "running"

    code, _, err = await abandon(system, "nowhere")
    assert (code, err.strip()) == (2, "cancel-worker: host 'nowhere' not found")
    code, _, err = await abandon(system, system.host, reason="")
    assert (code, err.strip()) == (
        2,
        "cancel-worker: --reason must have 1 to 255 printable characters",
    )


async def test_one_that_comes_back_all_the_same_clears_away_what_it_ran(
    system: System, burnt: str
) -> None:
    away = await system.worker(burnt, host_heartbeat=BEAT)
    _, mark = await system.launch_bad_child(1, "ignores_term", socket=system.socket(burnt))
    await away.kill()
    await becomes(system, burnt, "silent")
    await abandon(system, burnt)
    assert alive(mark)

    back = await system.worker(burnt, host_heartbeat=BEAT)

    await back.event("leftovers_cleared", run_id=1, ended="killed")
    await until_gone(mark, deadline=0)
    run = await system.run(1)
    assert (run["status"], json.loads(run["loss"])["cause"]) == ("error", "host_abandoned")
    assert json.loads(run["loss"])["proof"] is not None
    host = await described(system, burnt)
    assert host["state"] == "up"
    assert [done["action"] for done in host["actions"]] == ["abandoned", "returned"]


async def test_one_that_was_only_frozen_registers_again(system: System, burnt: str) -> None:
    worker = await system.worker(burnt, host_heartbeat=BEAT)
    launched, mark = await system.launch_bad_child(1, "sleeps", socket=system.socket(burnt))
    worker.freeze()
    await becomes(system, burnt, "silent")
    await abandon(system, burnt)

    worker.thaw()

    await worker.event("host_returned")
    await worker.event("leftovers_cleared", run_id=1)
    await until_gone(mark, deadline=0)
    await launched.exit_code()
    assert (await system.run(1))["status"] == "error"
    await becomes(system, burnt, "up")
    _, mark = await system.launch_bad_child(2, "sleeps", socket=system.socket(burnt))
    command_id = await system.publish(2)
    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    await until_gone(mark, deadline=0)


async def test_a_beat_that_meets_the_abandoning_finds_the_host_abandoned(
    system: System, burnt: str
) -> None:
    worker = await system.worker(burnt, host_heartbeat=BEAT)
    async with system.database.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(sql.hosts.ABANDON, burnt)
        await blocked_in_database(system)
        await transaction.commit()

    await worker.event("host_returned")
    await becomes(system, burnt, "up")
    assert worker.process.returncode is None
