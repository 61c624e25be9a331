"""Several runner hosts: a command reaches the one whose processes it means."""

import signal

from tests.support.http.api import Api
from tools.support.processes import alive, until_gone
from tools.support.system import System

HOSTS = ("north", "south", "east")


def named(system: System, host: str) -> str:
    """A host name of this test alone: cgroups are named for hosts."""
    return f"{system.host}-{host}"


async def test_a_command_reaches_the_host_of_its_run_from_every_worker(system: System) -> None:
    workers = {host: await system.worker(named(system, host)) for host in HOSTS}
    marks = []
    for run_id in range(1, 10):
        host = named(system, HOSTS[run_id % 3])
        _, mark = await system.launch_bad_child(run_id, "obeys", socket=system.socket(host))
        marks.append(mark)

    commands = [await system.publish(run_id) for run_id in range(1, 10)]

    for run_id, command_id in enumerate(commands, start=1):
        outcome = await system.outcome_of(command_id)
        assert outcome["outcome"] == "canceled"
        run = await system.run(run_id)
        assert (run["status"], run["host"]) == ("canceled", named(system, HOSTS[run_id % 3]))
    for mark in marks:
        await until_gone(mark, deadline=0)
    stopped = [
        (event["run_id"], host)
        for host, worker in workers.items()
        for event in worker.events
        if event["event"] == "run_canceled"
    ]
    assert sorted(stopped) == [(run_id, HOSTS[run_id % 3]) for run_id in range(1, 10)]


async def test_a_host_whose_worker_is_down_gets_the_command_when_it_is_back(
    system: System,
) -> None:
    north, south = named(system, "north"), named(system, "south")
    there = await system.worker(north)
    away = await system.worker(south)
    api = Api(await system.gateway(), system.http, await system.token())
    _, mark = await system.launch_bad_child(1, "ignores_term", socket=system.socket(south))
    await away.stop(signal.SIGKILL)

    assert (await api.cancel(1)).status == 202
    await there.event("command_open", run_id=1, waits_for=south)
    assert (await system.run(1))["status"] == "running"
    assert alive(mark)
    await system.worker(south, grace_seconds=0)

    run = await system.status_becomes(1, "canceled")
    assert run["host"] == south
    await until_gone(mark, deadline=0)
    assert [row["outcome"] for row in await system.cancellations(1)] == ["canceled"]
    assert await system.depth(system.topology.dead) == 0
