"""What runs in another pid namespace cannot be seen, and so nothing is proved about it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.records.hosts import BEAT, abandon, beats, becomes, described
from tests.support.rights.namespaces import Containers, containers, inside, why_no_namespaces
from tests.support.rights.privileges import NOBODY, as_user
from tools.support.processes import BAD_CHILD, alive, until_gone, why_no_cgroups
from tools.support.program import Program
from tools.support.system import System

OUTSIDE = "has runs outside this container, and their processes cannot be seen from here"


@pytest.fixture(autouse=True, scope="module")
def namespaces() -> None:
    if reason := why_no_namespaces():
        pytest.skip(reason)


@pytest.fixture
def made() -> Iterator[Containers]:
    with containers() as made:
        yield made


async def refused(system: System, within: tuple[str, ...]) -> str:
    """Start a worker that must not serve; the last line of what it said."""
    program = await system.program(
        "worker",
        "serve",
        within=within,
        CANCEL_HOST_HEARTBEAT=str(BEAT),
        CANCEL_WORKER_SOCKET=str(system.socket("refused")),
    )
    assert await program.wait() == 2
    return program.output[-1]


async def launch(system: System, container: Program, run_id: int, kind: str) -> str:
    """Start a bad child of nobody's beside the worker in `container`; its mark."""
    mark = system.new_mark()
    await system.add_run(run_id)
    launched = await system.launch(
        run_id,
        *("/usr/bin/python3", "-S", str(BAD_CHILD), kind, mark),
        within=(*await inside(container), *as_user(NOBODY)),
    )
    await launched.ready()
    return mark


async def end(container: Program) -> None:
    """As `docker rm --force` would."""
    await container.kill()


async def test_a_name_with_runs_outside_is_refused_inside_a_container(
    system: System, made: Containers
) -> None:
    worker = await system.worker(host_heartbeat=BEAT)
    _, running = await system.launch_bad_child(1, "sleeps")
    _, stopping = await system.launch_bad_child(2, "ignores_term")
    await system.publish(2, grace_seconds=600)
    await system.status_becomes(2, "canceling")
    await worker.kill()
    before = [await system.run(1), await system.run(2)]

    said = await refused(system, made.new())

    assert f"the host {system.host} {OUTSIDE} (1, 2)" in said
    assert "abandon" in said and "CANCEL_HOST_NAME" in said
    assert [await system.run(1), await system.run(2)] == before
    assert alive(running) and alive(stopping)


async def test_it_is_taken_once_those_are_given_up(system: System, made: Containers) -> None:
    worker = await system.worker(host_heartbeat=BEAT)
    await system.launch_bad_child(1, "sleeps")
    await worker.kill()
    await becomes(system, system.host, "silent")
    await abandon(system, system.host)

    await system.worker(within=made.new(), host_heartbeat=BEAT)

    assert json.loads((await system.run(1))["loss"])["proof"] == "none_container_lost"


async def test_two_living_workers_of_one_name_do_not_displace_each_other(
    system: System, made: Containers
) -> None:
    first = await system.worker(within=made.new(), host_heartbeat=BEAT)
    mark = await launch(system, first, 1, "sleeps")

    said = await refused(system, made.new())

    assert said == (
        f"cancel-worker: the host name {system.host} is in use by a worker on another machine or "
        "in another container; give each worker its own CANCEL_HOST_NAME"
    )
    await beats(system, system.host)
    assert (await system.run(1))["status"] == "running"
    assert alive(mark)


async def test_what_a_container_that_was_made_anew_held_is_lost_and_never_canceled(
    system: System, made: Containers
) -> None:
    first = await system.worker(within=made.new(), host_heartbeat=BEAT)
    await launch(system, first, 1, "sleeps")
    await launch(system, first, 2, "ignores_term")
    command_id = await system.publish(2, grace_seconds=600)
    await system.status_becomes(2, "canceling")
    await end(first)

    second = await system.worker(within=made.new(), host_heartbeat=BEAT)

    for run_id, was in ((1, "running"), (2, "canceling")):
        run = await system.run(run_id)
        loss = json.loads(run["loss"])
        assert (run["status"], loss["cause"], loss["was"]) == ("error", "container_lost", was)
        assert loss["proof"] == "none_container_lost"
    row = await system.outcome_of(command_id)
    assert (row["outcome"], row["evidence"]["proof"]) == ("not_proved", None)
    assert row["evidence"]["ran_in_namespace"] != row["evidence"]["seen_from_namespace"]
    [action] = (await described(system, system.host))["actions"]
    assert (action["action"], action["run_ids"]) == ("container_lost", [1, 2])

    # The new one works, and a cancel of what is lost waits for nobody.
    mark = await launch(system, second, 3, "sleeps")
    assert (await system.outcome_of(await system.publish(3)))["outcome"] == "canceled"
    await until_gone(mark, deadline=0)
    assert (await system.outcome_of(await system.publish(1)))["outcome"] == "no_op"


@pytest.mark.skipif(why_no_cgroups() is not None, reason=str(why_no_cgroups()))
async def test_a_cgroup_that_is_visible_from_the_new_container_is_a_proof(
    system: System, made: Containers
) -> None:
    first = await system.worker(within=made.seeing_cgroups(), host_heartbeat=BEAT)
    await launch(system, first, 1, "sleeps")
    await launch(system, first, 2, "ignores_term")
    command_id = await system.publish(2, grace_seconds=600)
    await system.status_becomes(2, "canceling")
    await end(first)

    await system.worker(within=made.seeing_cgroups(), host_heartbeat=BEAT)

    loss = json.loads((await system.run(1))["loss"])
    assert (loss["cause"], loss["proof"]) == ("launcher_died", "cgroup_empty")
    row = await system.outcome_of(command_id)
    assert (row["outcome"], row["evidence"]["proof"]) == ("canceled", "cgroup_empty")
    assert (await system.run(2))["status"] == "canceled"


@pytest.mark.skipif(why_no_cgroups() is not None, reason=str(why_no_cgroups()))
async def test_what_lives_in_a_visible_cgroup_goes_on_and_can_be_canceled(
    system: System, made: Containers
) -> None:
    """A worker that moved from the machine into a container that sees its cgroups."""
    worker = await system.worker(host_heartbeat=BEAT)
    marks = []
    for run_id in (1, 2):
        marks.append(system.new_mark())
        await system.add_run(run_id)
        launched = await system.launch(
            run_id,
            *("/usr/bin/python3", "-S", str(BAD_CHILD), "tree", marks[-1]),
            within=as_user(NOBODY),
        )
        await launched.ready()
    await worker.kill()

    await system.worker(within=made.seeing_cgroups(), host_heartbeat=BEAT)
    await beats(system, system.host)

    assert [(await system.run(run_id))["status"] for run_id in (1, 2)] == ["running"] * 2
    row = await system.outcome_of(await system.publish(1, grace_seconds=0))
    assert (row["outcome"], row["evidence"]["proof"]) == ("canceled", "cgroup_empty")
    await until_gone(marks[0], deadline=0)
    assert alive(marks[1])


async def test_a_proc_of_another_namespace_is_refused(system: System) -> None:
    said = await refused(system, ("unshare", "--pid", "--fork", "--kill-child"))

    assert "/proc shows a pid namespace that is not the worker's" in said
    assert not Path(system.socket("refused")).exists()
