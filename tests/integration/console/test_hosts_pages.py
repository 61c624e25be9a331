"""All hosts, and one host, in the console."""

import re
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.support.console.operator import Operator, signed_in, start_console
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.rows import RUNNING, insert_run
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTS = 203


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("console")) as running:
        await running.database.execute(
            "INSERT INTO hosts (host, worker_id, boot_id, beat_seconds, left_at, privileges)"
            " SELECT 'h' || to_char(n, 'FM000'), gen_random_uuid(), gen_random_uuid(), 5,"
            "        CASE WHEN n = 7 THEN now() END,"
            """       '{"uid": 0, "containment": "cgroup", "signals_all": true,
                        "reads_all": true, "lists_all": true}'"""
            "   FROM generate_series(1, $1::int) n",
            HOSTS,
        )
        await insert_run(running.database, 1, {**RUNNING, "host": "h001"})
        await running.database.execute(
            "INSERT INTO cancellations (command_id, run_id, via, force, requested_by, reason)"
            " VALUES ($1, 1, 'rest', false, 'alice', '<b>now</b>')",
            uuid4(),
        )
        await running.database.execute(
            "INSERT INTO host_actions (host, action, done_by, reason, run_ids)"
            " VALUES ('h001', 'abandoned', 'olga', '<b>burnt</b>', '{5, 6}')"
        )
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(system: System) -> AsyncIterator[Operator]:
    _, url = await start_console(system)
    entered = await signed_in(system, url)
    yield entered
    await entered.close()


async def test_all_hosts_are_found_page_by_page(operator: Operator) -> None:
    names: list[str] = []
    path = "/hosts"
    while path:
        page = await operator.get(path)
        names += re.findall(r'href="/hosts/(h\d+)"', page.html)
        found = re.search(r'href="(/hosts\?after=[^"]+)">Next page', page.html)
        path = found[1].replace("&amp;", "&") if found else ""

    assert names == [f"h{number:03}" for number in range(1, HOSTS + 1)]


async def test_hosts_are_filtered_by_state(operator: Operator) -> None:
    left = await operator.get("/hosts?state=left")

    assert re.findall(r'href="/hosts/(h\d+)"', left.html) == ["h007"]
    assert '<option value="left" selected>' in left.html
    assert "No host is silent." in (await operator.get("/hosts?state=silent")).text


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("state=gone", "state: 'gone' is none of up, silent, left, abandoned."),
        ("after=%00", "after: has at most 255 characters, and no NUL."),
    ],
)
async def test_a_wrong_filter_is_named(operator: Operator, query: str, says: str) -> None:
    assert says in (await operator.get(f"/hosts?{query}")).text


async def test_a_host_shows_its_runs_its_open_commands_and_its_history(operator: Operator) -> None:
    page = await operator.get("/hosts/h001")

    assert "1 running, 0 canceling" in page.text
    assert "Can signal processes of all users" in page.text
    assert "alice: <b>now</b>" in page.text
    assert "abandoned olga <b>burnt</b> 5, 6" in page.text
    assert "<b>" not in page.html
    assert 'href="/runs?host=h001"' in page.html


@pytest.mark.parametrize("name", ["none", "%00", "%3Cb%3E", "a%2Fb"])
async def test_an_unknown_host_is_told_in_words(operator: Operator, name: str) -> None:
    page = await operator.get(f"/hosts/{name}")

    assert page.status == 404
    assert "not found" in page.text or "no such page" in page.text
    assert "<b>" not in page.html
