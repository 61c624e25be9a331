"""The claim is committed and the worker does not know it yet: killed, cut off, asked again."""

from collections.abc import AsyncIterator

import pytest

from tests.support.commit_proxy import CommitAnswersLost
from tests.support.launching import Launch, starts
from tests.support.program import Program
from tests.support.system import System


@pytest.fixture
async def proxy(system: System) -> AsyncIterator[CommitAnswersLost]:
    proxy = CommitAnswersLost(system.database_url)
    await proxy.listen()
    yield proxy
    await proxy.close()


async def worker_behind(system: System, proxy: CommitAnswersLost) -> Program:
    worker = await system.program("worker", "serve", DATABASE_URL=proxy.proxied)
    await worker.event("worker_ready")
    await worker.event("consuming")
    return worker


async def test_worker_killed_before_it_could_answer(
    system: System, proxy: CommitAnswersLost
) -> None:
    worker = await worker_behind(system, proxy)
    proxy.lose()
    launch = await Launch.begin(system)
    claimed = await system.status_becomes(1, "running")

    await worker.kill()
    assert starts(launch.marks) == []
    await system.worker()

    await launch.ran_once_registered()
    assert (await system.run(1))["launch_id"] == claimed["launch_id"]


async def test_launcher_killed_before_it_could_be_answered(
    system: System, proxy: CommitAnswersLost
) -> None:
    await worker_behind(system, proxy)
    proxy.lose()
    launch = await Launch.begin(system)
    await system.status_becomes(1, "running")

    await launch.kill_launcher()
    proxy.deliver()

    await launch.never_ran("error")


async def test_worker_and_launcher_killed_before_the_answer(
    system: System, proxy: CommitAnswersLost
) -> None:
    worker = await worker_behind(system, proxy)
    proxy.lose()
    launch = await Launch.begin(system)
    await system.status_becomes(1, "running")

    await worker.kill()
    await launch.kill_launcher()
    await system.worker()

    await launch.never_ran("error")


async def test_database_connection_cut_before_the_answer(
    system: System, proxy: CommitAnswersLost
) -> None:
    """The worker cannot know whether its claim was committed, and the launcher asks again."""
    worker = await worker_behind(system, proxy)
    proxy.lose()
    launch = await Launch.begin(system)
    claimed = await system.status_becomes(1, "running")

    await proxy.cut()

    await launch.ran_once_registered()
    assert (await system.run(1))["launch_id"] == claimed["launch_id"]
    assert worker.process.returncode is None
