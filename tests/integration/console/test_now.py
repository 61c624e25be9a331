"""The page Now: what an operator sees of each thing that goes on."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.support.console.operator import Operator, Page, signed_in, start_console
from tests.support.records.letters import kept
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.rows import CANCELING, PASS, RUNNING, Row, insert_run
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m"
SHOWN_HOSTILE = r"<script>alert(1)</script>\u202e\x1b[31m"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("console")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(system: System) -> AsyncIterator[Operator]:
    _, url = await start_console(system, CANCEL_PROBE_INTERVAL="0.2")
    entered = await signed_in(system, url)
    yield entered
    await entered.close()


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def nothing_on_record(system: System) -> None:
    await system.database.execute(
        "TRUNCATE runs, cancellations, hosts, dead_letters, outbox, host_actions CASCADE"
    )


async def _add_host(system: System, name: str = "h1", silent: timedelta = timedelta()) -> None:
    await system.database.execute(
        "INSERT INTO hosts (host, worker_id, boot_id, beat_seconds, seen_at)"
        " VALUES ($1, $2, $2, 5, now() - $3::interval)",
        name,
        uuid4(),
        silent,
    )


async def _add_command(
    system: System,
    run_id: int,
    by: str | None = "alice",
    reason: str | None = "superseded",
    outcome: str | None = None,
) -> None:
    await system.database.execute(
        "INSERT INTO cancellations (command_id, run_id, via, force, requested_by, reason, outcome,"
        " finished_at) VALUES ($1, $2, 'rest', false, $3, $4, $5,"
        " CASE WHEN $5::text IS NOT NULL THEN now() END)",
        *(uuid4(), run_id, by, reason, outcome),
    )


def _stopping(left: float, host: str = "h1") -> Row:
    """A run whose grace period ends in `left` seconds."""
    now = datetime.now(UTC)
    until = now + timedelta(seconds=left)
    began = now - timedelta(seconds=10)
    return {
        **CANCELING,
        "host": host,
        "canceling_at": began.isoformat(),
        "stop_deadline": until.isoformat(),
    }


def _section(page: Page, name: str) -> Page:
    found = re.search(rf'<(section|ul) id="{name}".*?</\1>', page.html, re.DOTALL)
    assert found is not None, page.text
    return Page(page.status, found[0], page.headers)


async def _see(operator: Operator, section: str) -> Page:
    seen = await operator.get("/")
    assert seen.status == 200, seen.text
    return _section(seen, section)


async def test_where_nothing_goes_on_the_page_says_so(operator: Operator) -> None:
    seen = (await operator.get("/")).text

    for empty in (
        "0 stops in progress",
        "0 open commands waiting",
        "No run is being stopped.",
        "No command waits for a worker.",
        "No worker has ever registered.",
        "No dead letter waits.",
        "all events are published",
    ):
        assert empty in seen


async def test_a_stop_shows_its_phase_its_deadline_and_who_asked(
    system: System, operator: Operator
) -> None:
    await _add_host(system)
    await insert_run(system.database, 7, _stopping(60))
    await _add_command(system, 7)

    seen = await _see(operator, "stops")

    assert "grace period" in seen.text
    assert "alice: superseded" in seen.text
    assert '<a href="/runs/7">7</a>' in seen.html
    assert '<a href="/hosts/h1">h1</a>' in seen.html
    until = await system.database.fetchval("SELECT stop_deadline FROM runs")
    assert f'<time data-until datetime="{until.isoformat()}">' in seen.html


async def test_the_most_overdue_stop_comes_first_and_leads_to_the_runbook(
    system: System, operator: Operator
) -> None:
    await _add_host(system)
    for run_id, left in ((1, 60), (2, -5), (3, -90), (4, -100)):
        await insert_run(system.database, run_id, _stopping(left))
        await _add_command(system, run_id, outcome="stop_failed" if run_id == 4 else None)

    seen = await _see(operator, "stops")
    rows = re.findall(r"<tr.*?</tr>", seen.html, re.DOTALL)[1:]

    assert [re.findall(r"/runs/(\d)", row) for row in rows] == [["4"], ["3"], ["2"], ["1"]]
    failed, overdue, killing, in_grace = rows
    assert "stop failed" in failed
    assert "/runbook#cancelstopfailed" in failed
    assert "overdue" in overdue
    assert "/runbook#cancelstopoverdue" in overdue
    for row in (failed, overdue):
        assert 'class="marked"' in row
    for row in (killing, in_grace):
        assert "marked" not in row
    assert "killing" in killing
    assert "4 stops in progress 2 need attention" in (await _see(operator, "summary")).text


async def test_of_many_stops_those_with_the_earliest_deadlines_are_shown(
    system: System, operator: Operator
) -> None:
    await _add_host(system)
    for run_id in range(1, 53):
        await insert_run(system.database, run_id, _stopping(60 + 100 - run_id))

    seen = await _see(operator, "stops")

    assert "The first 50 of 52" in seen.text
    assert re.findall(r"/runs/(\d+)", seen.html) == [str(run) for run in range(52, 2, -1)]


async def test_a_stop_on_a_silent_host_says_that_it_waits(
    system: System, operator: Operator
) -> None:
    await _add_host(system, silent=timedelta(minutes=5))
    await insert_run(system.database, 1, _stopping(-60))
    await _add_command(system, 1)

    seen = await _see(operator, "stops")

    assert "waits for its host" in seen.text
    assert "silent for 5 min" in seen.text
    assert "/runbook#cancelhostsilent" in seen.html


async def test_a_command_says_what_it_waits_for_and_since_when(
    system: System, operator: Operator
) -> None:
    await _add_host(system, silent=timedelta(hours=2))
    for run_id in (1, 2):
        await insert_run(system.database, run_id, RUNNING)
        await _add_command(system, run_id)

    seen = await _see(operator, "waiting")

    assert "2 for the worker of h1, silent for 2 h; the oldest came" in seen.text
    assert "the worker of h1, silent for 2 h alice: superseded" in seen.text
    assert "/runbook#cancelcommandwaiting" in seen.html
    assert "2 open commands waiting" in (await _see(operator, "summary")).text


async def test_of_many_commands_the_oldest_are_shown_and_all_are_counted(
    system: System, operator: Operator
) -> None:
    await _add_host(system, silent=timedelta(hours=2))
    for run_id in range(1, 53):
        await insert_run(system.database, run_id, RUNNING)
        await _add_command(system, run_id)

    seen = await _see(operator, "waiting")

    assert "The first 50 of 52" in seen.text
    assert seen.html.count('<td class="id"') == 50
    assert "52 for the worker of h1" in seen.text


async def test_hosts_that_need_somebody_come_before_the_others(
    system: System, operator: Operator
) -> None:
    await _add_host(system, "calm")
    await _add_host(system, "lost", silent=timedelta(hours=1))
    await _add_host(system, "stuck")
    await insert_run(system.database, 1, {**_stopping(-60, "stuck")})
    await _add_command(system, 1, outcome="stop_failed")

    seen = await _see(operator, "hosts")

    assert "2 up, 1 silent, with 0 running and 1 canceling run. All hosts" in seen.text
    places = [seen.html.index(f">{name}<") for name in ("stuck", "lost", "calm")]
    assert places == sorted(places)
    assert places[2] > seen.html.index("Up, the busiest first.") > places[1]
    assert "/runbook#cancelhostsilent" in seen.html
    assert "/runbook#cancelstopfailed" in seen.html


async def test_the_last_minutes_are_counted(system: System, operator: Operator) -> None:
    await _add_host(system)
    await insert_run(system.database, 1, RUNNING)
    for outcome in (None, "no_op", "no_op"):
        await _add_command(system, 1, outcome=outcome)
    now = datetime.now(UTC).isoformat()
    await insert_run(system.database, 2, {**PASS, "finished_at": now})
    await insert_run(system.database, 3, PASS)  # long ago
    await kept(system, 1)

    seen = await _see(operator, "rates")

    assert "Cancels received 3: canceled 0, other outcome 2, open 1" in seen.text
    assert "Runs that ended 1: canceled 0, otherwise 1" in seen.text
    assert "Dead letters 1 " in seen.text
    assert len(re.findall(r'role="img" aria-label="[^"]+ per minute from [^"]+"', seen.html)) == 3


async def test_letters_lead_to_their_list_and_to_the_runbook(
    system: System, operator: Operator
) -> None:
    for reason in ("stop_failed", "unknown_run", "unknown_run"):
        await kept(system, 1, reason)

    seen = await _see(operator, "letters")

    assert re.search(r"unknown_run 2 .* stop_failed 1 ", seen.text)
    assert 'href="/dead-letters?reason=stop_failed"' in seen.html
    assert "/runbook#cancelstopfailed" in seen.html
    assert "/runbook#canceldeadletterswaiting" in seen.html


async def test_queues_that_nobody_consumes_lead_to_the_runbook(
    system: System, operator: Operator
) -> None:
    await system.publish(1)

    seen = await eventually(
        lambda: _see(operator, "services"),
        lambda page: "runs.cancel 1 0 Runbook: CancelQueueNotConsumed" in page.text,
    )

    assert "postgres available rabbitmq available" in seen.text
    assert "runs.queued 0 0" in seen.text
    await system.purge(system.topology.cancel)


async def test_what_a_message_says_is_shown_as_text(system: System, operator: Operator) -> None:
    await _add_host(system)
    for run_id, row in ((1, RUNNING), (2, _stopping(60))):
        await insert_run(system.database, run_id, row)
        await _add_command(system, run_id, by=HOSTILE, reason=HOSTILE)

    for section in ("stops", "waiting"):
        seen = await _see(operator, section)
        assert f"{SHOWN_HOSTILE}: {SHOWN_HOSTILE}" in seen.text
        assert "<script" not in seen.html
