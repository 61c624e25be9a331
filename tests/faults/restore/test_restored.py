"""Postgres is restored from a backup while runs are going on, as docs/backup.md says."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from shared.postgres.migrate import migrate
from tests.support.broker.event_listener import listening
from tests.support.postgres import drill as runs
from tests.support.postgres.backed_up import BackedUpPostgres, backed_up
from tests.support.postgres.drill import ALIVE, Drill
from tools.services import Services
from tools.support.processes import alive, until_gone, why_no_cgroups
from tools.support.system import System

LEAP = 1_000_000_000


@pytest.fixture
def server() -> Iterator[BackedUpPostgres]:
    with backed_up() as server:
        yield server


@pytest.fixture
async def system(
    server: BackedUpPostgres, services: Services, tmp_path: Path
) -> AsyncIterator[System]:
    if reason := why_no_cgroups():
        pytest.skip(reason)
    await server.create()
    settings = DatabaseSettings.model_validate({"DATABASE_URL": server.database_url})
    async with connected(settings) as database:
        await migrate(database)
    async with System(server.database_url, services.amqp_url, tmp_path).running() as running:
        yield running


@pytest.fixture
async def drill(system: System, tmp_path: Path) -> AsyncIterator[Drill]:
    async with listening(system) as listener:
        yield Drill(system, listener, tmp_path)


@pytest.mark.parametrize("by", ["dump", "time"])
async def test_what_is_alive_is_on_record_again_and_nothing_is_wrongly_stopped(
    system: System, server: BackedUpPostgres, drill: Drill, by: str
) -> None:
    worker = await drill.worker()
    await drill.before_backup()
    async with drill.events_waiting():
        server.do("sh dump" if by == "dump" else "sh base-backup")
        moment = await server.moment()
    await drill.after_backup()
    told = await drill.told()

    await worker.stop()
    drill.end(runs.ENDED_MEANWHILE)
    await system.database.expire_connections()
    if by == "dump":
        server.do("sh restore-dump")
    else:
        await server.restored_to(moment)
    server.do("sh after-restore")
    away = await system.worker(runs.AWAY)
    first = await system.outcome_of(await system.publish(runs.CANCELED_FIRST))
    assert first["evidence"]["proof"] == "never_started"
    # A cancel before the backup goes on.
    assert (await system.outcome_of(drill.commands[runs.OPEN]))["outcome"] == "canceled"
    await until_gone(drill.marks[runs.OPEN], deadline=0)
    await away.stop()
    drill.commands[runs.CANCELED_MEANWHILE] = await system.publish(runs.CANCELED_MEANWHILE)
    worker = await drill.worker()

    # Nothing else was stopped, and what is alive is running.
    for run in ALIVE:
        assert alive(drill.marks[run])
        assert (await system.run(run))["status"] == "running"
    registered = await system.run(runs.REGISTERED_SINCE)
    assert registered["labels"] == runs.LABELS
    # A cancel that waited in the queue found the run, with its process.
    canceled = await system.outcome_of(drill.commands[runs.CANCELED_MEANWHILE])
    assert (canceled["outcome"], canceled["evidence"]["proof"]) == ("canceled", "cgroup_empty")
    await until_gone(drill.marks[runs.CANCELED_MEANWHILE], deadline=0)
    assert await drill.launched[runs.ENDED_MEANWHILE].exit_code() == 0
    assert (await system.run(runs.ENDED_MEANWHILE))["status"] == "pass"
    # What another worker took for never started is stopped, and the record says so.
    await worker.event("undone_launch_stopped", run_id=runs.CANCELED_FIRST)
    await until_gone(drill.marks[runs.CANCELED_FIRST], deadline=0)
    assert (await system.run(runs.CANCELED_FIRST))["proof"] == "cgroup_empty"
    # What ended since the backup is gone, and how it ended is not known any more.
    for run in (runs.PASSED_SINCE, runs.CANCELED_SINCE):
        assert (await system.status_becomes(run, "error"))["error"].startswith("the launcher died")
    # What was kept of a run that had ended is alive, and how it ended is known.
    for run in runs.KEPT:
        assert alive(drill.marks[run])
        ended = await system.run(run)
        assert (ended["status"], ended["exit_code"]) == ("fail", runs.EXIT_CODE)
        assert (await system.left_behind(run))["kept"] is True
    # What was canceled before it started is queued: it has to be canceled again.
    assert (await system.run(runs.NEVER_STARTED_SINCE))["status"] == "queued"
    for run in (runs.QUEUED, runs.NEVER_STARTED_SINCE):
        again = await system.outcome_of(await system.publish(run))
        assert again["evidence"]["proof"] == "never_started"
    # All that is alive can be canceled, and ends as it does.
    for run in ALIVE:
        ended = await system.outcome_of(await system.publish(run))
        assert (ended["outcome"], ended["evidence"]["proof"]) == ("canceled", "cgroup_empty")
        assert await drill.launched[run].exit_code() != 0
        await until_gone(drill.marks[run], deadline=0)
    for run in runs.KEPT:
        outcome = await system.outcome_of(await system.publish(run))
        assert outcome["outcome"] == "leftovers_stopped"
        assert not alive(drill.marks[run])
    # No number is used twice: an event that is told again is the same.
    await drill.bury()
    assert await system.database.fetchval("SELECT count(*) FROM dead_letters") == 2
    assert drill.letters[-1] > drill.letters[-2] + LEAP / 2
    again_told = await drill.told()
    for number, event in again_told.items():
        assert number > LEAP or told[number] == event
    assert set(again_told) & set(told)
    assert set(again_told) - set(told)
