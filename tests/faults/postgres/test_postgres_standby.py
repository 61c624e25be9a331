"""A standby that is reached instead of the primary or beside it; a primary that is read-only."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from time import monotonic
from typing import Final

import asyncpg
import pytest
import pytest_asyncio
from yarl import URL

from shared.errors import ServiceUnavailable
from shared.postgres.database import Database
from tests.support.postgres.database_at import database_at
from tests.support.postgres.standby import replicated
from tests.support.programs.installed import Package, installed
from tools.services import PrivatePair, Sandbox
from tools.services.native.pgbouncer import Pgbouncer
from tools.support.program import DEADLINE
from tools.support.proxy import TcpProxy
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANY: Final = "?target_session_attrs=any"
IN_RECOVERY: Final = "SELECT pg_is_in_recovery() AS it, pg_sleep(0.2)"
WRITE: Final = "INSERT INTO written VALUES (1) RETURNING 1"
MANY: Final = 4


@pytest.fixture(scope="module")
def pair() -> Iterator[PrivatePair]:
    with replicated() as pair:
        yield pair


@pytest_asyncio.fixture(loop_scope="module")
async def admin(pair: PrivatePair) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(pair.primary.url)
    await connection.execute("CREATE TABLE IF NOT EXISTS written (it integer)")
    follower = await asyncpg.connect(pair.standby.url)
    await eventually(lambda: follower.fetchval("SELECT to_regclass('written') IS NOT NULL"))
    await follower.close()
    yield connection
    await connection.close()


@pytest_asyncio.fixture(loop_scope="module")
async def address(
    pair: PrivatePair, admin: "asyncpg.Connection[asyncpg.Record]"
) -> AsyncIterator[TcpProxy]:
    """Leads to the standby, and to the primary when it is told."""
    async with TcpProxy(pair.standby.url, pair.primary.url) as proxy:
        yield proxy


async def _on_standby(database: Database) -> list[bool]:
    """Where many connections at once are."""

    async def by_itself() -> bool:
        async with database.connection() as connection:
            return bool(await connection.fetchval(IN_RECOVERY))

    rows = asyncio.gather(*(database.fetch(IN_RECOVERY) for _ in range(MANY)))
    others = asyncio.gather(*(by_itself() for _ in range(MANY)))
    return [row["it"] for (row,) in await rows] + await others


async def _by_fetch(database: Database) -> None:
    await database.fetch(WRITE)


async def _by_connection(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(WRITE)


async def _by_transaction(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(WRITE)


@pytest.mark.parametrize("write", [_by_fetch, _by_connection, _by_transaction])
async def test_after_one_refused_write_no_connection_is_on_the_standby(
    pair: PrivatePair, address: TcpProxy, write: Callable[[Database], Awaitable[None]]
) -> None:
    async with database_at(address.proxied + ANY) as database:
        assert all(await _on_standby(database))
        address.prefer(pair.primary.url)

        with pytest.raises(ServiceUnavailable, match="read-only transaction"):
            await write(database)

        assert not any(await _on_standby(database))
        await write(database)


async def test_who_only_reads_leaves_it_once_readiness_was_asked_for(
    pair: PrivatePair, address: TcpProxy
) -> None:
    async with database_at(address.proxied + ANY) as database:
        assert all(await _on_standby(database))
        address.prefer(pair.primary.url)

        assert not await database.answers()

        assert await database.answers()
        assert not any(await _on_standby(database))


async def test_what_was_in_use_meanwhile_is_not_used_again(
    pair: PrivatePair, address: TcpProxy
) -> None:
    async with database_at(address.proxied + ANY) as database:
        reading = asyncio.create_task(_on_standby(database))
        await _until_busy(pair)
        with pytest.raises(ServiceUnavailable):
            await database.fetch(WRITE)
        address.prefer(pair.primary.url)
        assert all(await reading)

        assert not any(await _on_standby(database))


async def _until_busy(pair: PrivatePair) -> None:
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE state = 'active' AND pid <> pg_backend_pid() AND query ~ 'pg_sleep'"
    )
    connection = await asyncpg.connect(pair.standby.url)
    end = monotonic() + DEADLINE
    while await connection.fetchval(query) < MANY:
        assert monotonic() < end
    await connection.close()


async def test_no_connection_is_made_to_a_standby_unasked(
    pair: PrivatePair, address: TcpProxy
) -> None:
    with pytest.raises(ServiceUnavailable, match="it accepts no writes: it is a standby"):
        async with database_at(address.proxied, timeout=0.5):
            pass
    address.prefer(pair.primary.url)
    async with database_at(address.proxied) as database:
        assert not any(await _on_standby(database))


async def test_what_pgbouncer_reported_of_a_standby_is_not_believed_forever(
    pair: PrivatePair, address: TcpProxy
) -> None:
    """pgbouncer repeats what the first server of its pool reported, until it is restarted."""
    with Sandbox() as sandbox:
        pgbouncer = Pgbouncer(sandbox, installed(Package.PGBOUNCER), address.proxied)
        pgbouncer.start(server_lifetime=0)
        url = pgbouncer.url(URL(pair.primary.url).name)
        with pytest.raises(ServiceUnavailable, match="it accepts no writes: it is a standby"):
            async with database_at(url, timeout=0.5):
                pass

        address.prefer(pair.primary.url)

        async with database_at(url) as database:
            await database.fetch(WRITE)


@pytest.mark.parametrize("form", ["authority", "parameter"])
@pytest.mark.parametrize("query", ["", "target_session_attrs=read-write"])
async def test_of_several_hosts_the_one_that_takes_writes_is_used(
    pair: PrivatePair, admin: object, form: str, query: str
) -> None:
    url = pair.url(pair.standby, pair.primary) + f"?{query}" * bool(query)
    if form == "parameter":
        ports = f"{pair.standby.port},{pair.primary.port}"
        alone = pair.url().replace(
            f"@127.0.0.1:{pair.primary.port},127.0.0.1:{pair.standby.port}", "@"
        )
        url = f"{alone}?host=127.0.0.1,127.0.0.1&port={ports}" + f"&{query}" * bool(query)
    async with database_at(url) as database:
        assert not any(await _on_standby(database))
        assert await database.answers()
        await database.fetch(WRITE)


async def test_a_host_that_swallows_all_does_not_keep_the_next_one_from_being_asked(
    pair: PrivatePair, admin: object
) -> None:
    async with TcpProxy(pair.primary.url) as dark:
        dark.stall()
        url = pair.url().replace(f":{pair.standby.port}/", f":{pair.primary.port}/")
        url = url.replace(f"127.0.0.1:{pair.primary.port},", f"127.0.0.1:{dark.port},")
        began = monotonic()
        async with database_at(url, timeout=4) as database:
            assert monotonic() - began < 3.5  # each host has its half
            began = monotonic()
            # Those after the first go where that one was found.
            assert not any(await _on_standby(database))
            assert monotonic() - began < 1.5


async def test_where_no_host_will_do_each_is_named_with_its_reason(pair: PrivatePair) -> None:
    closed = TcpProxy(pair.primary.url)  # bound, and not listening
    url = pair.url().replace(f":{pair.primary.port},", f":{closed.port},")
    with pytest.raises(ServiceUnavailable) as refused:
        async with database_at(url, timeout=0.5):
            pass
    await closed.close()

    assert str(refused.value).endswith(
        f"127.0.0.1:{closed.port}: connection refused; "
        f"127.0.0.1:{pair.standby.port}: it accepts no writes: it is a standby or read-only"
    )
    assert "run_cancel:***@" in str(refused.value)


async def test_a_primary_that_is_made_read_only_answers_again_when_it_is_not(
    pair: PrivatePair, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with database_at(pair.primary.url) as database:
        assert await database.answers()
        await _set_read_only(admin, "on")
        try:
            await _answers_become(database, False)
            with pytest.raises(ServiceUnavailable):
                await database.fetch(WRITE)
        finally:
            await _set_read_only(admin, "off")
        await _answers_become(database, True)
        await database.fetch(WRITE)


async def _set_read_only(admin: "asyncpg.Connection[asyncpg.Record]", value: str) -> None:
    # What providers do with a disk that is almost full.
    await admin.execute("SET default_transaction_read_only = off")
    await admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    await admin.execute("SELECT pg_reload_conf()")


async def _answers_become(database: Database, wanted: bool) -> None:
    await eventually(database.answers, lambda answers: answers is wanted)


async def test_a_role_that_is_not_let_in_any_more_is_an_outage(
    pair: PrivatePair, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await admin.execute("DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN PASSWORD 'x'")
    url = pair.url(pair.primary).replace("run_cancel:", "guest:", 1)
    url = f"postgresql://guest:x@{url.rpartition('@')[2]}"
    async with database_at(url) as database:
        await admin.execute("ALTER ROLE guest NOLOGIN")
        await admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'guest'"
        )
        for _ in range(2):
            with pytest.raises(ServiceUnavailable):
                await database.fetch("SELECT 1")
        with pytest.raises(ServiceUnavailable):
            async with database.connection():
                pass
        await admin.execute("ALTER ROLE guest LOGIN")
        assert await database.answers()


async def test_nothing_is_said_of_connections_that_are_left_behind(
    pair: PrivatePair, address: TcpProxy
) -> None:
    # asyncio would complain of what ends badly in the background.
    async with database_at(address.proxied + ANY, timeout=1) as database:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
        assert all(await _on_standby(database))
        with pytest.raises(ServiceUnavailable):
            await database.fetch(WRITE)
        address.stall()
        with pytest.raises(ServiceUnavailable):
            await database.fetch(WRITE)
        await address.cut()
        address.prefer(pair.primary.url)
        address.resume()
        assert not any(await _on_standby(database))
    assert complaints == []
