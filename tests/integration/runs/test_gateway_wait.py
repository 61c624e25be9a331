"""GET /runs/{run_id}?wait=: the answer comes when the run is over."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from time import monotonic

import pytest
import pytest_asyncio

from shared.postgres import sql
from tests.support.http.api import Answer, Api
from tests.support.postgres.sessions import until_begun
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.proxy import TcpProxy
from tools.support.rows import PASS, QUEUED, RUNNING, Row, insert_run
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

run_ids = count(1)
# By then its request has seen the run as it was.
ADMITTED = """
    SELECT EXISTS (SELECT FROM rate_windows JOIN tokens ON spender = token_id::text
                    WHERE subject = $1)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(system: System) -> Api:
    """A gateway with a single connection to Postgres."""
    return Api(await system.gateway(database_pool_size=1), system.http, await system.token())


async def _wait(api: Api, run_id: int, seconds: object) -> tuple[Answer, float]:
    start = monotonic()
    answer = await api.ask("GET", f"/api/v1/runs/{run_id}?wait={seconds}")
    return answer, monotonic() - start


async def _finish(system: System, *run: int) -> None:
    await system.database.execute(
        "UPDATE runs SET status = 'pass', exit_code = 0, finished_at = now()"
        " WHERE run_id = ANY ($1)",
        list(run),
    )


async def test_a_run_that_is_over_is_answered_at_once(system: System, api: Api) -> None:
    run_id = next(run_ids)
    await insert_run(system.database, run_id, PASS)

    answer, took = await _wait(api, run_id, 30)

    assert (answer.status, answer.body["status"]) == (200, "pass")
    assert took < 1


@pytest.mark.parametrize(
    ("row", "status", "values"),
    [
        (RUNNING, "pass", "exit_code = 0"),
        (RUNNING, "fail", "exit_code = 1"),
        (RUNNING, "error", """error = 'lost', loss = '{"cause": "launcher_died"}'"""),
        (QUEUED, "canceled", "proof = 'never_started'"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)
async def test_a_wait_ends_with_each_end_of_a_run(
    system: System, api: Api, row: Row, status: str, values: str
) -> None:
    run_id = next(run_ids)
    await insert_run(system.database, run_id, row)
    caller = Api(api.url, api.http, await system.token(subject=status))
    waiting = asyncio.create_task(_wait(caller, run_id, 20))
    await eventually(lambda: system.database.fetchval(ADMITTED, status))

    await system.database.execute(
        f"UPDATE runs SET status = $2, finished_at = now(), {values} WHERE run_id = $1",  # noqa: S608 - from this file
        run_id,
        status,
    )

    answer, took = await waiting
    assert (answer.body["status"], took < 10) == (status, True)


async def test_a_run_that_goes_on_is_answered_when_the_time_is_over(
    system: System, api: Api
) -> None:
    run_id = next(run_ids)
    await insert_run(system.database, run_id, RUNNING)

    answer, took = await _wait(api, run_id, 0.7)

    assert (answer.status, answer.body["status"]) == (200, "running")
    assert 0.7 <= took < 2


async def test_all_who_wait_are_answered_soon_after_the_end_and_hold_no_connection_until_then(
    system: System, api: Api
) -> None:
    mine = [next(run_ids) for _ in range(10)]
    for run_id in mine:
        await insert_run(system.database, run_id, RUNNING)
    waiting = [asyncio.create_task(_wait(api, run_id, 20)) for run_id in mine * 5]

    # With one connection for all of them, a request in between would wait as long as they do.
    for _ in range(20):
        assert (await api.cancel(mine[0])).status == 202
    assert not any(task.done() for task in waiting)
    over = monotonic()
    await _finish(system, *mine)

    answers = [answer for answer, _ in await asyncio.gather(*waiting)]
    assert monotonic() - over < 2
    assert {(answer.status, answer.body["status"]) for answer in answers} == {(200, "pass")}


async def test_one_run_ends_and_who_waits_for_another_goes_on_waiting(
    system: System, api: Api
) -> None:
    ends, goes_on = next(run_ids), next(run_ids)
    for run_id in (ends, goes_on):
        await insert_run(system.database, run_id, RUNNING)
    other = asyncio.create_task(_wait(api, goes_on, 20))
    mine = asyncio.create_task(_wait(api, ends, 20))
    await api.ask("GET", f"/api/v1/runs/{ends}")

    await _finish(system, ends)

    answer, took = await mine
    assert (answer.body["status"], took < 5) == ("pass", True)
    assert not other.done()
    await _finish(system, goes_on)
    await other


async def test_no_such_run_is_404_at_once(api: Api) -> None:
    answer, took = await _wait(api, 10**9, 30)

    assert answer.error == (404, "not_found")
    assert took < 1


@pytest.mark.parametrize("seconds", ["0", "0.0", "0.05", "1e-2", "-0", ""])
async def test_these_are_no_long_waits(system: System, api: Api, seconds: str) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    answer = await api.ask("GET", f"/api/v1/runs/{run_id}?wait={seconds}")

    assert answer.status == (400 if seconds == "" else 200)


@pytest.mark.parametrize(
    "query",
    [
        *("wait=31", "wait=30.001", "wait=-1", "wait=1e9", "wait=1e400", "wait=nan", "wait=inf"),
        *("wait=abc", "wait=1_0", "wait=%201", "wait=0x1", "wait=%D9%A1", "wait=1&wait=1"),
        *("wait=", "wait", "wait=null"),
    ],
)
async def test_a_wait_that_is_no_such_number_is_refused(api: Api, query: str) -> None:
    answer = await api.ask("GET", f"/api/v1/runs/1?{query}")

    assert answer.error == (400, "validation_error")
    assert list(answer.body["details"]["fields"]) == ["wait"]


async def test_postgres_goes_away_and_comes_back_while_a_client_waits(system: System) -> None:
    run_id = next(run_ids)
    await insert_run(system.database, run_id, RUNNING)
    postgres = TcpProxy(system.database_url)
    await postgres.listen()
    program = await system.program(
        *("gateway", "serve", "--port", "0"),
        DATABASE_URL=postgres.proxied,
        CANCEL_DATABASE_TIMEOUT="1",
    )
    url = (await program.event("gateway_ready"))["url"]
    api = Api(url, system.http, await system.token())
    waiting = asyncio.create_task(_wait(api, run_id, 20))
    await until_begun(system.database, sql.requests.LIST_ENDED)

    postgres.refuse()
    await postgres.cut()
    await program.event("runs_not_watched")
    postgres.accept()
    await _finish(system, run_id)

    answer, took = await waiting
    assert (answer.status, answer.body["status"]) == (200, "pass")
    assert took < 15
    await postgres.close()
