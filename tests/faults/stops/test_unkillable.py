"""Trees that outlive SIGKILL: said so, kept open, and finished by a later replay."""

import json
from typing import Any

import pytest

from shared.postgres import sql
from tests.support.stops.freezer import frozen, why_no_freezer
from tests.support.stops.powerless import MODULE, environment, powerless
from tools.support.processes import alive, until_gone
from tools.support.program import Program
from tools.support.records import Json
from tools.support.system import System

CONTAINMENTS = ("cgroup", "session")


async def _worker(system: System, containment: str, module: str = "worker") -> Program:
    return await system.worker(
        module=module,
        env=environment(system),
        containment=containment,
        kill_wait=0.5,
        keep_dead_letters="true",
    )


async def _host(system: System) -> Json:
    code, out, err = await system.cli("worker", "hosts", "list", "--json")
    assert code == 0, err
    hosts: list[Json] = json.loads(out)
    return next(host for host in hosts if host["host"] == system.host)


async def _stop_fails(system: System, mark: str, **fields: Any) -> str:
    """Cancel run 1, which cannot be killed; the command's id, once all of that is on record."""
    command_id = await system.publish(1, grace_seconds=0, **fields)
    outcome = await system.outcome_of(command_id)
    assert outcome["outcome"] == "stop_failed"
    assert outcome["evidence"]["ended"] == "survived"
    assert {survivor["pid"] for survivor in outcome["evidence"]["survivors"]} == set(alive(mark))
    # Bounded: the wait after SIGKILL, and what the last looks cost.
    assert 500 <= outcome["evidence"]["duration_ms"] < 3000
    assert (await system.run(1))["status"] == "canceling"
    return command_id


async def _shown(system: System) -> str:
    """The command that the status of run 1 shows."""
    run = await system.database.fetchrow(sql.requests.FIND_RUN_SUMMARY, 1)
    assert run is not None
    return str(run["command_id"])


async def _letter(system: System, command_id: str) -> Json:
    letter = await system.dead_letter_kept(command_id)
    assert (letter["reason"], letter["state"]) == ("stop_failed", "waiting")
    return letter


async def _replay_finishes(system: System, command_id: str, mark: str) -> None:
    letter = await _letter(system, command_id)
    deadline = (await system.run(1))["stop_deadline"]
    assert (await _host(system))["unkillable"] == [1]
    assert "unkillable: 1" in (await system.cli("worker", "hosts", "list"))[1]

    replayed = await system.cli("worker", "dead-letters", "replay", str(letter["letter_id"]))

    assert replayed[0] == 0, replayed
    run = await system.status_becomes(1, "canceled")
    await until_gone(mark, deadline=0)
    (row,) = await system.cancellations(1)
    assert (row["outcome"], row["evidence"]["proof"] is not None) == ("canceled", True)
    assert row["evidence"]["earlier"]["ended"] == "survived"
    assert run["stop_deadline"] == deadline, "the grace period did not begin anew"
    assert (await _host(system))["unkillable"] == []


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_what_outlives_sigkill_is_never_canceled_until_it_is_gone(
    system: System, containment: str
) -> None:
    await _worker(system, containment, module=MODULE)
    _, mark = await system.launch_bad_child(1, "tree")
    with powerless(system):
        command_id = await _stop_fails(system, mark)
        await _letter(system, command_id)
        assert alive(mark)

    await _replay_finishes(system, command_id, mark)


@pytest.mark.skipif(why_no_freezer() is not None, reason=str(why_no_freezer()))
@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_tree_that_the_kernel_keeps_frozen(system: System, containment: str) -> None:
    await _worker(system, containment)
    _, mark = await system.launch_bad_child(1, "leaves_children")
    with frozen(mark):
        command_id = await _stop_fails(system, mark)
        await _letter(system, command_id)
        assert alive(mark)

    await _replay_finishes(system, command_id, mark)


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_new_command_takes_up_the_stop_that_failed(
    system: System, containment: str
) -> None:
    await _worker(system, containment, module=MODULE)
    _, mark = await system.launch_bad_child(1, "ignores_term")
    with powerless(system):
        first = await _stop_fails(system, mark)
        second = await _stop_fails(system, mark)
        assert await _shown(system) == first

    third = await system.publish(1)

    assert (await system.outcome_of(third))["outcome"] == "canceled"
    await until_gone(mark, deadline=0)
    outcomes = {str(row["command_id"]): row["outcome"] for row in await system.cancellations(1)}
    assert outcomes == dict.fromkeys((first, second, third), "canceled")
    assert await _shown(system) == first


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_what_a_lost_run_leaves_and_cannot_be_killed_is_left_to_a_cancel(
    system: System, containment: str
) -> None:
    worker = await _worker(system, containment, module=MODULE)
    launched, mark = await system.launch_bad_child(1, "ignores_term")
    with powerless(system):
        launched.kill()
        await worker.event("leftovers_cleared", run_id=1, ended="survived")
        assert (await system.run(1))["status"] == "error"
        assert (await _host(system))["unkillable"] == [1]
        assert alive(mark)

    command_id = await system.publish(1)
    outcome = await system.outcome_of(command_id)

    await until_gone(mark, deadline=0)
    assert outcome["outcome"] == "leftovers_stopped"
    run = await system.run(1)
    assert run["status"] == "error"
    assert json.loads(run["loss"])["proof"] == outcome["evidence"]["proof"] is not None
    assert (await _host(system))["unkillable"] == []
    again = await system.outcome_of(await system.publish(1))
    assert (again["outcome"], again["evidence"]) == ("no_op", {"run_status": "error"})
    assert await _shown(system) == command_id
