"""The claim is committed and the worker does not know it yet: killed, cut off, asked again."""

from tests.support.launcher.launching import Launch, starts
from tests.support.postgres.commit_proxy import CommitProxy
from tools.support.system import System

NO_BEAT = 300.0
"""Seconds. With a heartbeat, the relay publishes that the run is registered: another COMMIT."""


async def test_worker_killed_before_it_could_answer(system: System, commits: CommitProxy) -> None:
    worker = await system.worker(env={"DATABASE_URL": commits.proxied}, host_heartbeat=NO_BEAT)
    commits.lose()
    launch = await Launch.begin(system)
    claimed = await system.status_becomes(1, "running")

    await worker.kill()
    assert starts(launch.marks) == []
    await system.worker()

    await launch.ran_once_registered()
    assert (await system.run(1))["launch_id"] == claimed["launch_id"]


async def test_launcher_killed_before_it_could_be_answered(
    system: System, commits: CommitProxy
) -> None:
    await system.worker(env={"DATABASE_URL": commits.proxied}, host_heartbeat=NO_BEAT)
    commits.lose()
    launch = await Launch.begin(system)
    await system.status_becomes(1, "running")

    await launch.kill_launcher()
    commits.deliver()

    await launch.never_ran("error")


async def test_worker_and_launcher_killed_before_the_answer(
    system: System, commits: CommitProxy
) -> None:
    worker = await system.worker(env={"DATABASE_URL": commits.proxied}, host_heartbeat=NO_BEAT)
    commits.lose()
    launch = await Launch.begin(system)
    await system.status_becomes(1, "running")

    await worker.kill()
    await launch.kill_launcher()
    await system.worker()

    await launch.never_ran("error")


async def test_database_connection_cut_before_the_answer(
    system: System, commits: CommitProxy
) -> None:
    """The worker cannot know whether its claim was committed, and the launcher asks again."""
    worker = await system.worker(env={"DATABASE_URL": commits.proxied}, host_heartbeat=NO_BEAT)
    commits.lose()
    launch = await Launch.begin(system)
    claimed = await system.status_becomes(1, "running")

    await commits.cut()

    await launch.ran_once_registered()
    assert (await system.run(1))["launch_id"] == claimed["launch_id"]
    assert worker.process.returncode is None
