"""pgbouncer between the programs and Postgres, in session mode and in transaction mode."""

import asyncio
from collections.abc import Iterator
from typing import Final

import asyncpg
import pytest
from yarl import URL

from shared.errors import ServiceUnavailable
from tests.support.console.operator import signed_in, start_console
from tests.support.http.api import Api
from tests.support.postgres.database_at import database_at
from tests.support.programs.installed import Package, installed
from tools.services import Sandbox, Services
from tools.services.databases import new_database
from tools.services.native.pgbouncer import Pgbouncer
from tools.support.system import System
from tools.support.waiting import eventually

SESSION: Final = "session"
TRANSACTION: Final = "transaction"
MANY: Final = 40


@pytest.fixture(scope="module")
def pgbouncer(services: Services) -> Iterator[Pgbouncer]:
    with Sandbox() as sandbox:
        yield Pgbouncer(sandbox, installed(Package.PGBOUNCER), services.database_url)


@pytest.fixture
def through(pgbouncer: Pgbouncer, database_url: str) -> Iterator[str]:
    """The way to this test's database. The test starts pgbouncer."""
    yield pgbouncer.url(URL(database_url).name)
    pgbouncer.stop()


@pytest.fixture
async def system(through: str, system: System) -> System:
    """Its programs go through pgbouncer, and end before it."""
    system.database_url = through
    return system


@pytest.mark.parametrize("mode", [SESSION, TRANSACTION])
async def test_all_programs_work_without_settings_of_their_own(
    system: System, pgbouncer: Pgbouncer, mode: str
) -> None:
    # Far fewer sessions than the programs have connections, where they can share them.
    pgbouncer.start(pool_mode=mode, default_pool_size=100 if mode == SESSION else 2)
    api = Api(await system.gateway(), system.http, await system.token())
    await system.worker(keep_dead_letters="true")
    _, console = await start_console(system)
    operator = await signed_in(system, console)

    code, _, err = await system.cli("worker", "runs", "add", *map(str, range(1, MANY + 1)))
    assert code == 0, err
    launched = await system.launch(1, "sleep", "600")
    await system.status_becomes(1, "running")
    answers = await asyncio.gather(*(api.cancel(run_id) for run_id in range(1, MANY + 1)))
    assert [answer.status for answer in answers] == [202] * MANY
    for run_id in range(1, MANY + 1):
        await system.status_becomes(run_id, "canceled")
    assert await launched.exit_code() == 143
    await system.publish_raw(b"not a command")
    letters = await eventually(
        lambda: system.cli("worker", "dead-letters", "list"), lambda done: "unknown_type" in done[1]
    )
    assert letters[0] == 0
    assert "unknown_type" in (await operator.get("/dead-letters")).text
    await operator.close()


@pytest.mark.parametrize("mode", [SESSION, TRANSACTION])
async def test_two_migrations_at_once_take_turns(
    services: Services, pgbouncer: Pgbouncer, system: System, mode: str
) -> None:
    pgbouncer.start(pool_mode=mode)
    async with new_database(services) as url:
        env = {"DATABASE_URL": pgbouncer.url(URL(url).name)}
        both = await asyncio.gather(*(system.cli("worker", "migrate", env=env) for _ in range(2)))
        assert [code for code, _, _ in both] == [0, 0], both
        assert sorted("up to date" in out for _, out, _ in both) == [False, True], both


@pytest.mark.parametrize(
    "program", [("gateway", "serve"), ("worker", "serve"), ("worker", "migrate")]
)
async def test_statement_mode_is_refused_in_one_line(
    system: System, pgbouncer: Pgbouncer, program: tuple[str, str]
) -> None:
    pgbouncer.start(pool_mode="statement")
    code, out, err = await system.cli(*program)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].endswith(
        "DATABASE_URL: a pooler gives each statement to another session: set pool_mode = session "
        "or transaction in pgbouncer.ini"
    )
    assert "Traceback" not in err


async def test_a_parameter_that_pgbouncer_does_not_know_is_refused_in_one_line(
    system: System, pgbouncer: Pgbouncer, through: str
) -> None:
    pgbouncer.start()
    env = {"DATABASE_URL": f"{through}?search_path=ci"}
    code, _, err = await system.cli("worker", "migrate", env=env)
    assert code == 2
    assert err.splitlines()[-1].endswith(
        "DATABASE_URL: pgbouncer: unsupported startup parameter: search_path; remove it"
    )


@pytest.mark.parametrize("mode", [SESSION, TRANSACTION])
async def test_a_statement_that_takes_too_long_is_canceled_in_postgres(
    database_url: str, through: str, pgbouncer: Pgbouncer, mode: str
) -> None:
    pgbouncer.start(pool_mode=mode)
    admin = await asyncpg.connect(database_url)
    running = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE query = 'SELECT pg_sleep(77)' AND state = 'active'"
    )
    async with database_at(through, timeout=2) as database:
        with pytest.raises(ServiceUnavailable, match="no answer in time"):
            async with database.connection() as connection:
                await connection.fetch("SELECT pg_sleep(77)")
        await eventually(lambda: admin.fetchval(running), lambda count: count == 0)
        assert await database.answers()
    await admin.close()


@pytest.mark.parametrize("way", ["direct", SESSION])
async def test_a_session_has_a_name_and_a_timeout_for_idle_transactions(
    database_url: str, through: str, pgbouncer: Pgbouncer, way: str
) -> None:
    pgbouncer.start()
    async with (
        database_at(database_url if way == "direct" else through) as database,
        database.connection() as connection,
    ):
        shown = await connection.fetchrow(
            "SELECT current_setting('idle_in_transaction_session_timeout') AS timeout, "
            "current_setting('application_name') AS name"
        )
        assert shown is not None
        assert (shown["timeout"], shown["name"]) == ("30s", "run-cancel")


async def test_statements_are_cached_without_a_pooler_alone(
    database_url: str, through: str, pgbouncer: Pgbouncer
) -> None:
    pgbouncer.start(pool_mode=TRANSACTION)
    names = "SELECT count(*) AS prepared FROM pg_prepared_statements"
    for url, is_cached in ((database_url, True), (through, False)):
        async with database_at(url) as database:
            for _ in range(2):
                rows = await database.fetch(names)
            assert bool(rows[0]["prepared"]) is is_cached


@pytest.mark.parametrize("mode", [SESSION, TRANSACTION])
async def test_a_pgbouncer_that_was_killed_is_used_again(
    system: System, pgbouncer: Pgbouncer, mode: str
) -> None:
    pgbouncer.start(pool_mode=mode)
    api = Api(await system.gateway(), system.http, await system.token())
    await system.worker()
    await system.add_run(1)
    assert (await api.cancel(1)).status == 202
    await system.status_becomes(1, "canceled")

    pgbouncer.stop()
    await system.add_run(2)
    assert (await api.cancel(2)).status == 503
    pgbouncer.start(pool_mode=mode)

    await eventually(lambda: api.cancel(2), lambda answer: answer.status == 202)
    await system.status_becomes(2, "canceled")


async def test_a_pool_that_is_exhausted_is_an_outage_until_there_is_room(
    through: str, pgbouncer: Pgbouncer
) -> None:
    pgbouncer.start(default_pool_size=1)
    async with database_at(through) as database, database.connection():
        with pytest.raises(ServiceUnavailable, match="no answer in time"):
            async with database_at(through, timeout=0.5):
                pass
    async with database_at(through) as database:
        assert await database.answers()


@pytest.mark.parametrize("settings", [{"server_reset_query": ""}, {"server_round_robin": 1}])
async def test_what_a_session_left_behind_does_no_harm(
    through: str, pgbouncer: Pgbouncer, settings: dict[str, object]
) -> None:
    pgbouncer.start(pool_mode=SESSION, default_pool_size=2, **settings)
    for number in range(5):
        async with database_at(through) as database:
            rows = await asyncio.gather(
                *(database.fetch(f"SELECT $1::int + {number} AS it", 1) for _ in range(2))
            )
            assert [row["it"] for (row,) in rows] == [1 + number] * 2
