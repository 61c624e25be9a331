"""Workers are told to end and started again, as an upgrade does; no command minds."""

import asyncio
import signal
from time import monotonic

import pytest

from shared.states import Outcome
from tests.support.broker.event_listener import until_told
from tests.support.broker.many_cancels import Storm
from tests.support.http.api import Api
from tests.support.postgres.commit_proxy import CommitProxy
from tools.support.processes import alive, until_gone
from tools.support.program import Program
from tools.support.proxy import TcpProxy
from tools.support.system import System

CLOSING = 6.0
"""Seconds that a worker may take beyond CANCEL_WORKER_SHUTDOWN_TIMEOUT while all is well."""
HOSTS = ("a", "b", "c")
ROUNDS = 2


async def _timed(worker: Program, signum: signal.Signals = signal.SIGTERM) -> float:
    """Stop the worker, which must end well; the seconds it took."""
    start = monotonic()
    assert await worker.stop(signum) == 0, worker.log()
    return monotonic() - start


async def test_a_short_stop_is_finished_first(system: System) -> None:
    worker = await system.worker(worker_shutdown_timeout=15)
    _, mark = await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=2)
    await system.status_becomes(1, "canceling")

    assert await _timed(worker) < 2 + CLOSING

    await until_gone(mark, deadline=0)
    assert (await system.outcome_of(command_id, deadline=0))["outcome"] == Outcome.CANCELED
    await system.worker()
    # Acknowledged, or it would be delivered again before what comes after it.
    await system.add_run(2)
    await system.outcome_of(await system.publish(2))
    assert await system.depth(system.topology.cancel) == 0
    assert len(await system.cancellations(1)) == 1


async def test_a_stop_that_was_just_decided_on_is_finished_first(system: System) -> None:
    commits = CommitProxy(system.database_url)
    await commits.listen()
    worker = await system.worker(
        env={"DATABASE_URL": commits.proxied}, worker_shutdown_timeout=15, database_timeout=30
    )
    _, mark = await system.launch_bad_child(1, "ignores_term")

    await until_told(system)  # or the next COMMIT would be that of the relay
    commits.lose()
    command_id = await system.publish(1, grace_seconds=2)
    await system.status_becomes(1, "canceling")
    stopped = asyncio.create_task(worker.stop())
    await worker.event("worker_stopping")
    commits.deliver()

    assert await stopped == 0
    await until_gone(mark, deadline=0)
    assert (await system.outcome_of(command_id, deadline=0))["outcome"] == Outcome.CANCELED
    await commits.close()


async def test_a_long_stop_goes_on_in_the_next_worker_to_the_same_deadline(
    system: System,
) -> None:
    worker = await system.worker(worker_shutdown_timeout=0.5)
    _, mark = await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=8)
    before = await system.status_becomes(1, "canceling")

    assert await _timed(worker) < 0.5 + CLOSING
    assert alive(mark), "its grace period is not over"
    next_worker = await system.worker()

    await system.outcome_of(command_id)
    after = await system.run(1)
    assert after["stop_deadline"] == before["stop_deadline"]
    assert abs((after["finished_at"] - before["stop_deadline"]).total_seconds()) < 1.5
    await until_gone(mark, deadline=0)
    await next_worker.event("command_settled", command_id=command_id)
    assert await system.depth(system.topology.dead) == 0


async def test_what_it_has_not_begun_is_taken_by_others(system: System) -> None:
    """It holds commands that wait for the row of their run, which another has locked."""
    leaving = await system.worker("leaving", worker_shutdown_timeout=0.5)
    for run in range(1, 21):
        await system.add_run(run)
    async with system.database.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SELECT FROM runs FOR UPDATE")
        commands = [await system.publish(run) for run in range(1, 21)]
        staying = await system.worker("staying")
        assert await _timed(leaving) < 0.5 + CLOSING
        await transaction.rollback()

    for command_id in commands:
        await system.outcome_of(command_id)
        await staying.event("command_settled", command_id=command_id)
    assert await system.depth(system.topology.dead) == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_told_twice_it_ends_as_if_told_once(system: System, signum: signal.Signals) -> None:
    worker = await system.worker(worker_shutdown_timeout=1)
    _, mark = await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=4)
    await system.status_becomes(1, "canceling")

    start = monotonic()
    worker.process.terminate()
    await worker.event("worker_stopping")
    assert await worker.stop(signum) == 0
    assert monotonic() - start < 1 + CLOSING

    await system.worker()
    assert (await system.outcome_of(command_id))["outcome"] == Outcome.CANCELED
    await until_gone(mark, deadline=0)


@pytest.mark.parametrize("silent", ["AMQP_URL", "DATABASE_URL"])
async def test_it_ends_in_time_though_a_service_is_silent(system: System, silent: str) -> None:
    proxy = TcpProxy(system.environment[silent])
    await proxy.listen()
    worker = await system.worker(
        env={silent: proxy.proxied}, worker_shutdown_timeout=1, database_timeout=1
    )
    _, mark = await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=2)
    await system.status_becomes(1, "canceling")

    proxy.stall()
    # The connections that are open get up to 2 s each, Postgres its timeout twice.
    assert await _timed(worker) < 1 + 2 * CLOSING
    await proxy.close()

    await system.worker()
    assert (await system.outcome_of(command_id))["outcome"] == Outcome.CANCELED
    await until_gone(mark, deadline=0)
    assert await system.depth(system.topology.dead) == 0


async def test_three_workers_restarted_in_turn_under_load(system: System) -> None:
    workers = {host: await system.worker(host, worker_shutdown_timeout=0.5) for host in HOSTS}
    turns = [*HOSTS * ROUNDS]
    queued, running = range(100, 400), range(1, 2 * len(turns) + 1)
    for run in queued:
        await system.add_run(run)
    marks = []
    for run in running:
        socket = system.socket(HOSTS[run % 3])
        marks.append((await system.launch_bad_child(run, "ignores_term", socket=socket))[1])
    api = Api(await system.gateway(), system.http, await system.token())
    storm = Storm(api, system.amqp_url, system.topology, at_once=4)

    longest = 0.0
    for turn, host in enumerate(turns):
        waiting = queued[turn :: len(turns)]
        direct = [*running[turn :: len(turns)], *waiting[::2]]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(storm.send(waiting[1::2], direct, grace_seconds=3))
            await storm.has_accepted(turn * len(waiting) + 5)
            longest = max(longest, await _timed(workers[host]))
            workers[host] = await system.worker(host, worker_shutdown_timeout=0.5)
    assert longest < 0.5 + CLOSING

    for run in (*queued, *running):
        await system.status_becomes(run, "canceled")
    for mark in marks:
        await until_gone(mark, deadline=0)
    for command_id in storm.commands.values():
        assert (await system.outcome_of(command_id))["outcome"] == Outcome.CANCELED
    for run in storm.sent:
        assert [row["outcome"] for row in await system.cancellations(run)] == [Outcome.CANCELED]
    assert await system.depth(system.topology.dead) == 0
    waited = await system.database.fetchval(
        "SELECT max(finished_at - received_at) FROM cancellations"
    )
    # Its grace period, and the time for which its host has no worker.
    assert waited.total_seconds() < 3 + 2 * CLOSING
    print(f"ended within {longest:.2f} s; longest from receipt to outcome {waited}")
