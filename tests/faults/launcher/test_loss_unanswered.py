"""A launcher dies while Postgres' answers are lost: the run is lost once, and nothing lives on."""

import asyncio

from tests.support.broker.event_listener import until_told
from tests.support.launcher.launching import Launch, blocked_in_database
from tests.support.postgres.commit_proxy import CommitProxy
from tests.support.records.hosts import BEAT
from tools.support.processes import until_gone
from tools.support.system import System

NO_BEAT = 300.0
"""Seconds. With a heartbeat, the relay publishes that the run is registered: another COMMIT."""
SOON = 10.0
"""Seconds. Neither a restart of the worker nor a cancel comes to help."""


async def test_what_it_leaves_is_killed_though_the_record_was_not_answered(
    system: System, commits: CommitProxy
) -> None:
    worker = await system.worker(env={"DATABASE_URL": commits.proxied}, host_heartbeat=NO_BEAT)
    launched, mark = await system.launch_bad_child(1, "ignores_term")
    await until_told(system)  # or the next COMMIT would be that of the relay
    commits.lose()
    launched.kill()
    await system.status_becomes(1, "error")

    await commits.cut()

    await worker.event("leftovers_cleared", run_id=1, ended="killed", deadline=SOON)
    await until_gone(mark, deadline=0)


async def test_a_claim_that_is_committed_late_is_not_missed(
    system: System, commits: CommitProxy
) -> None:
    await system.worker(
        env={"DATABASE_URL": commits.proxied}, database_timeout=1, host_heartbeat=NO_BEAT
    )
    commits.hold()
    launch = await Launch.begin(system)
    await commits.held.wait()
    await launch.kill_launcher()
    # The worker gives up, and looks whether there is a run to record as lost.
    await blocked_in_database(system)

    commits.deliver()

    await system.status_becomes(1, "error", deadline=SOON)


async def test_a_claim_that_outlives_its_worker_is_watched_once_it_is_asked_for_again(
    system: System, commits: CommitProxy
) -> None:
    first = await system.worker(env={"DATABASE_URL": commits.proxied}, host_heartbeat=NO_BEAT)
    commits.hold()
    launching = asyncio.create_task(system.launch_bad_child(1, "sleeps"))
    await commits.held.wait()
    await first.kill()
    await system.worker(host_heartbeat=300)
    commits.deliver()
    launched, mark = await launching

    launched.kill()

    await system.status_becomes(1, "error", deadline=SOON)
    await until_gone(mark)


async def test_a_claim_that_outlives_worker_and_launcher_is_found(
    system: System, commits: CommitProxy
) -> None:
    first = await system.worker(env={"DATABASE_URL": commits.proxied}, host_heartbeat=NO_BEAT)
    commits.hold()
    launch = await Launch.begin(system)
    await commits.held.wait()
    await first.kill()
    await launch.kill_launcher()
    await system.worker(host_heartbeat=BEAT)

    commits.deliver()

    await system.status_becomes(1, "error", deadline=SOON)
