"""Programs notice, and say, whether a failover could undo what was committed."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from shared.postgres.migrate import migrate
from shared.postgres.replication import ReplicationWatch, Risk
from shared.services.warnings import About, Warned, Warnings
from tests.support.postgres.standby import replicated
from tests.support.telemetry.exposition import scrape
from tools.services import PrivatePair, Services
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = "FIRST 1 (pg1, pg2)"
UNDONE = "a failover of Postgres may undo the last commits"
EMPTY = f"{UNDONE}: synchronous_standby_names is empty"
WAITING = "commits wait: no standby of synchronous_standby_names is connected"


@pytest.fixture(scope="module")
def pair() -> Iterator[PrivatePair]:
    with replicated() as pair:
        yield pair


@dataclass(frozen=True, slots=True)
class Admin:
    pair: PrivatePair

    async def set(self, **settings: str) -> None:
        await self.execute(
            *(f"ALTER SYSTEM SET {name} = '{value}'" for name, value in settings.items()),
            "SELECT pg_reload_conf()",
        )

    async def execute(self, *statements: str) -> None:
        connection = await asyncpg.connect(self.pair.primary.url)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()


@pytest_asyncio.fixture(loop_scope="module")
async def admin(pair: PrivatePair) -> AsyncIterator[Admin]:
    admin = Admin(pair)
    yield admin
    await admin.set(synchronous_standby_names="", synchronous_commit="on")
    await pair.attach()
    await pair.followed()


def _warnings(registry: CollectorRegistry) -> dict[str, float]:
    return {
        risk: registry.get_sample_value("cancel_postgres_commit_risk", {"risk": risk}) or 0.0
        for risk in Risk
    }


@pytest.mark.parametrize("role", ["run_cancel", "guest"])
async def test_each_risk_is_told_whatever_the_role_may_read(
    pair: PrivatePair, admin: Admin, role: str
) -> None:
    await admin.execute("DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN PASSWORD 'x'")
    url = pair.url(pair.primary)
    if role == "guest":
        url = f"postgresql://guest:x@{url.rpartition('@')[2]}"
    settings = DatabaseSettings.model_validate({"DATABASE_URL": url})
    warnings, registry = Warnings(), CollectorRegistry()
    async with connected(settings) as database:
        watch = ReplicationWatch(database, settings, warnings, registry)

        async def tells(message: str | None, risk: Risk | None) -> None:
            async def look() -> list[Warned]:
                await watch.look()
                return warnings.now()

            wanted = [Warned(About.POSTGRES_REPLICATION, message)] if message else []
            # A reload takes effect a moment later.
            await eventually(look, lambda told: told == wanted)
            assert _warnings(registry) == {each: float(each is risk) for each in Risk}

        await tells(EMPTY, Risk.NO_SYNCHRONOUS_STANDBY)
        await admin.set(synchronous_standby_names=NAMES)
        await tells(None, None)
        for level in ("local", "remote_write"):
            await admin.set(synchronous_commit=level)
            await tells(f"{UNDONE}: synchronous_commit is {level}", Risk.SYNCHRONOUS_COMMIT)
        await admin.set(synchronous_commit="off")
        await tells(
            "a crash of Postgres may undo the last commits: synchronous_commit is off",
            Risk.SYNCHRONOUS_COMMIT,
        )
        await admin.set(synchronous_commit="remote_apply")
        await tells(None, None)
        await pair.detach()
        await tells(WAITING, Risk.STANDBY_AWAY)


async def test_of_a_server_alone_nothing_is_told_unless_several_are_named(
    database_url: str,
) -> None:
    host = database_url.rpartition("@")[2].partition("/")[0]
    for url, told in (
        (database_url, []),
        (database_url.replace(host, f"{host},{host}"), [Warned(About.POSTGRES_REPLICATION, EMPTY)]),
    ):
        settings = DatabaseSettings.model_validate({"DATABASE_URL": url})
        warnings = Warnings()
        async with connected(settings) as database:
            await ReplicationWatch(database, settings, warnings, CollectorRegistry()).look()
        assert warnings.now() == told


async def test_gateway_and_worker_say_it_at_the_start_and_when_it_changes(
    pair: PrivatePair, admin: Admin, services: Services, tmp_path: Path
) -> None:
    settings = DatabaseSettings.model_validate({"DATABASE_URL": pair.primary.url})
    async with connected(settings) as database:
        await migrate(database)
    async with System(pair.primary.url, services.amqp_url, tmp_path).running() as system:
        worker = await system.worker(probe_interval=0.1)
        gateway = await system.program(
            "gateway", "serve", "--port", "0", CANCEL_PROBE_INTERVAL="0.1"
        )
        urls = {
            worker: str((await worker.event("worker_ready"))["http"]),
            gateway: str((await gateway.event("gateway_ready"))["url"]),
        }
        for program, url in urls.items():
            said = await program.event("commits_at_risk")
            assert (said["risk"], said["reason"]) == ("no_synchronous_standby", EMPTY)
            await _readiness_becomes(system, url, EMPTY)
            exposed = await scrape(system.http, url)
            found = exposed.values("cancel_postgres_commit_risk", "risk")
            assert found == {risk: float(risk is Risk.NO_SYNCHRONOUS_STANDBY) for risk in Risk}

        await admin.set(synchronous_standby_names=NAMES)

        for program, url in urls.items():
            await program.event("commits_safe")
            await _readiness_becomes(system, url)
        # It is back, before anything is to be committed.
        await admin.set(synchronous_standby_names="")
        for program in urls:
            await program.event("commits_at_risk", count=2)


async def _readiness_becomes(system: System, url: str, *warnings: str) -> None:
    """An answer from the start may still be fresh."""
    await eventually(
        partial(_readiness, system, url), lambda said: said == (200, "ok", list(warnings))
    )


async def _readiness(system: System, url: str) -> tuple[int, str, list[str]]:
    async with system.http.get(f"{url}/readyz") as response:
        body: dict[str, Any] = await response.json()
    assert {each["about"] for each in body["warnings"]} <= {"postgres_replication"}
    return response.status, body["status"], [each["message"] for each in body["warnings"]]
