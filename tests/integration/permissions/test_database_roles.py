"""deploy/postgres/roles.sql: what each service may do in Postgres, and that it needs no more."""

import re
from collections.abc import AsyncIterator
from functools import partial
from types import ModuleType
from typing import Final

import asyncpg
import pytest
import pytest_asyncio

from shared.postgres import sql
from tests.support.broker.registrations import registered, send_registration
from tests.support.console.operator import signed_in, start_console
from tests.support.http.api import Api
from tests.support.postgres.roles import ROLES, ROLES_SQL, UrlOf
from tests.support.records.letters import kept
from tests.support.telemetry.exposition import scrape
from tools.services import PrivatePostgres, Services
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODULES: Final = (
    sql.registrations,
    sql.runs,
    sql.endings,
    sql.healing,
    sql.decisions,
    sql.requests,
    sql.registrations,
    sql.cancellations,
    sql.statistics,
    sql.hosts,
    sql.outbox,
    sql.dead_letters,
    sql.audit,
    sql.console,
    sql.upkeep,
    sql.now,
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    postgres: PrivatePostgres,
    url_of: UrlOf,
    services: Services,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[System]:
    directory = tmp_path_factory.mktemp("roles")
    async with System(postgres.url, services.amqp_url, directory).running() as running:
        yield running


async def test_programs_do_their_work_as_their_own_roles(system: System, url_of: UrlOf) -> None:
    gateway = await system.program(
        "gateway", "serve", "--port", "0", DATABASE_URL=url_of("gateway")
    )
    worker = await system.worker(
        env={"DATABASE_URL": url_of("worker")}, keep_dead_letters=True, host_heartbeat=0.5
    )
    url = str((await gateway.event("gateway_ready"))["url"])

    async def as_role(role: str, *arguments: str) -> str:
        code, output, errors = await system.cli(*arguments, env={"DATABASE_URL": url_of(role)})
        assert code == 0, errors
        return output

    ops = partial(as_role, "ops")

    token = (await ops("gateway", "tokens", "create", "--subject", "alice")).strip()
    api = Api(url, system.http, token)
    for run_id, role in (("1", "ops"), ("2", "ops"), ("3", "platform")):
        await as_role(role, "worker", "runs", "add", run_id)

    assert (await api.cancel(1)).status == 202
    await system.status_becomes(1, "canceled")
    assert await (await system.launch(2, "true")).exit_code() == 0
    await system.status_becomes(2, "pass")
    await as_role("platform", "worker", "runs", "add", "5", "6", "--label", "branch=main")
    labeled = await ops("worker", "runs", "list", "--label", "branch=main")
    assert [line.split()[0] for line in labeled.splitlines()[1:]] == ["6", "5"]
    await ops("worker", "runs", "cancel", "5", "--wait", "30")
    await as_role("platform", "worker", "runs", "add", "7", "--start-before", "1s")
    assert (await system.status_becomes(7, "canceled"))["expired"]
    running = await system.launch(3, "sh", "-c", "echo ready; exec sleep 1000")
    await running.ready()
    assert (await api.cancel(3)).status == 202
    await system.status_becomes(3, "canceled")

    command = await system.publish(4)
    await worker.event("command_retried", run_id=4)
    await ops("worker", "runs", "add", "4")
    assert (await system.outcome_of(command))["outcome"] == "canceled"
    await send_registration(system, 5, labels={"branch": "main"})
    await registered(system, 5)
    await system.publish_raw(b"{}", type="something.else")
    await worker.event("dead_letters_kept")
    await ops("worker", "dead-letters", "discard", "1")
    assert "waiting" not in await ops("worker", "dead-letters", "list")
    assert (await api.ask("GET", "/api/v1/runs/3")).status == 200
    await ops("gateway", "tokens", "revoke", token)
    assert (await api.cancel(1)).status == 401
    assert (await scrape(system.http, url)).value("cancel_statistics_up") == 1
    for program in (worker, gateway):
        assert await program.stop() == 0
        assert [event for event in program.events if "permission denied" in str(event)] == []


async def test_the_pages_of_the_console_need_no_more_than_the_rights_of_operators(
    system: System, url_of: UrlOf
) -> None:
    await system.add_run(77)
    _, url = await start_console(system, DATABASE_URL=url_of("ops"))
    operator = await signed_in(system, url)

    letter = f"/dead-letters/{(await kept(system, 1)).letter_id}"

    paths = re.findall(r'<a href="(/[^"]*)"', (await operator.get("/")).html)
    for path in (
        *paths,
        "/audit?kind=all&by=olga",
        "/runs?label=a:b&status=queued",
        "/runs/77",
        "/dead-letters?search=was+so",
        letter,
        f"{letter}/edit",
        "/dead-letters/replay?all=1",
    ):
        assert (await operator.get(path)).status == 200, path
    await operator.close()


UPKEEP: Final = {
    "PRUNE_RUNS",
    "PRUNE_LETTERS",
    "PRUNE_HISTORY",
    "EXPIRE_UNSTARTED",
    "FORGET_HOST",
    "BEGIN_PRUNE",
    "TAKE_DUE",
    "SET_DUE",
}
# What is a program's own is allowed to it; of the rest, what would matter most is not.
REFUSED: Final = {
    "gateway": {
        "ADD_TOKEN",
        "REVOKE_TOKEN",
        "EXPIRE",
        "RECORD",
        "DECIDE_PLAIN",
        "CLAIM_RUN",
        "CLAIM_AGAIN",
        "COMPLETE_AGAIN",
        "EXPIRE_ONE",
        "KEEP",
        "NOTE_EXIT_CODE_AGAIN",
        "PASS_EVENT_NUMBERS",
        "RECORD_STOPPED_LATE",
        "LATEST_ACTIONS_OF_HOST",
        "REGISTER_HOST",
        *UPKEEP,
    },
    "worker": {
        "ADD_TOKEN",
        "LIST_TOKENS",
        "REVOKE_TOKEN",
        "SWEEP_RATE_WINDOWS",
        "DISCARD",
        "LIST_ACTIONS",
        "LIST_ACTIONS_OF_RUN",
        "LIST_WHOLE_ACTIONS",
        "LIST_LABELED_RUNS",
        "MARK_EDITED",
        "MARK_REPLAYED",
        "FIND_TOKEN",
        "IS_TOKEN_VALID",
        "LATEST_NUMBERS",
        # Only an operator counts what would be pruned.
        "COUNT_LETTERS",
    },
    "ops": {
        "TAKE_DUE",
        "SET_DUE",
        "CLAIM_RUN",
        "EXPIRE",
        "EXPIRE_ONE",
        "KEEP",
        "RECORD",
        "DECIDE_PLAIN",
        "RECORD_CANCELED",
        "REGISTER_HOST",
        "SWEEP_RATE_WINDOWS",
        "TAKE_TURN",
    },
    "platform": {
        "ADD_TOKEN",
        "CLAIM_RUN",
        "DECIDE_PLAIN",
        "EXPIRE",
        "LIST_CANCELLATIONS",
        "RECORD",
        *UPKEEP,
    },
}
OWN: Final[dict[str, tuple[ModuleType, ...]]] = {
    "gateway": (sql.requests, sql.registrations, sql.cancellations, sql.statistics),
    "worker": (
        sql.registrations,
        sql.runs,
        sql.endings,
        sql.healing,
        sql.decisions,
        sql.hosts,
        sql.dead_letters,
        sql.outbox,
        sql.upkeep,
    ),
    "ops": (),
    "platform": (),
}

# Of operators' commands, which no module has for itself.
NOT_REFUSED: Final = {
    "ops": {
        "ABANDON",
        "ADD",
        "ADD_ACTION",
        "ADD_TOKEN",
        "CLOSE_COMMANDS_OF_ABANDONED",
        "DISCARD",
        "FIND_TOKEN",
        "IS_TOKEN_VALID",
        "EVENTS",
        "LATEST_ACTIONS_OF_HOST",
        "LATEST_NUMBERS",
        "LIVE_ON_HOST",
        "LETTERS",
        "LOCK_HOST",
        "LOSE_RUNS_OF_ABANDONED",
        "PAGE_OF_HOSTS",
        "RATES",
        "STOPS",
        "WAITING",
        "WAITING_BY_HOST",
        "MARK_EDITED",
        "LIST_LABELED_RUNS",
        "LIST_RESULTS",
        "LIST_RUNS",
        "MARK_REPLAYED",
        "REGISTER",
        "REVOKE_TOKEN",
        "COUNT_RUNS",
        "COUNT_LETTERS",
        "COUNT_HISTORY",
        "COUNT_UNSTARTED",
        *(UPKEEP - {"TAKE_DUE", "SET_DUE"}),
    },
    "platform": {"FIND_OPTIONS", "FIND_RUN", "IN_TIME", "REGISTER"},
}


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_may_run_its_own_queries_and_not_those_of_others(
    url_of: UrlOf, role: str
) -> None:
    connection = await asyncpg.connect(url_of(role))
    refused = {
        name
        for module in MODULES
        for name, query in _named(module).items()
        if await _is_refused(connection, query)
    }
    await connection.close()

    own = {name for module in OWN[role] for name in _named(module)}
    assert refused >= REFUSED[role]
    assert not refused & NOT_REFUSED.get(role, set())
    assert refused & own == REFUSED[role] & own


async def test_every_table_is_decided_upon(postgres: PrivatePostgres, url_of: UrlOf) -> None:
    """A migration that adds one has to say here who may use it."""
    connection = await asyncpg.connect(postgres.url)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()

    granted = set(re.findall(r"\w+", " ".join(re.findall(r" ON (.+?) TO ", ROLES_SQL.read_text()))))
    assert {row["tablename"] for row in tables} <= granted


def _named(module: ModuleType) -> dict[str, str]:
    """Its statements, a column put in where one is to be chosen; fragments of some are left out."""
    return {
        name: re.sub(r"\{\w+\}", "reason", value)
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str)
        if value.lstrip().startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH"))
    }


async def _is_refused(connection: "asyncpg.Connection[asyncpg.Record]", query: str) -> bool:
    """Whether the role may not run it. To plan a statement is enough for that to be checked."""
    count = max((int(number) for number in re.findall(r"\$(\d+)", query)), default=0)
    nulls = f"({', '.join(['NULL'] * count)})" if count else ""
    await connection.execute(f"PREPARE it AS {query}")
    try:
        await connection.execute(f"EXPLAIN EXECUTE it{nulls}")
    except asyncpg.InsufficientPrivilegeError:
        return True
    finally:
        await connection.execute("DEALLOCATE it")
    return False
