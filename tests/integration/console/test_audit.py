"""Who did what, when, to what: one list from several tables."""

import json
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
from tools.support.system import System
from worker.console.audit import listing

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("console")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(system: System) -> AsyncIterator[Operator]:
    _, url = await start_console(system)
    entered = await signed_in(system, url)
    yield entered
    await entered.close()


async def _add_letter_action(system: System, by: str, action: str = "replayed") -> int:
    letter = await kept(system, 1)
    await system.database.execute(
        "INSERT INTO dead_letter_actions (letter_id, action, done_by) VALUES ($1, $2, $3)",
        letter.letter_id,
        action,
        by,
    )
    return letter.letter_id


async def _add_cancel(system: System, run_id: int, by: str | None) -> None:
    await system.add_run(run_id)
    await system.database.execute(
        "INSERT INTO cancellations (command_id, run_id, via, force, requested_by, reason)"
        " VALUES ($1, $2, 'rest', false, $3, 'superseded')",
        uuid4(),
        run_id,
        by,
    )


async def _add_abandoned(system: System, host: str, by: str, reason: str) -> None:
    await system.database.execute(
        "INSERT INTO hosts (host, boot_id, beat_seconds) VALUES ($1, $2, 5)", host, uuid4()
    )
    await system.database.execute(
        "INSERT INTO host_actions (host, action, done_by, reason, run_ids)"
        " VALUES ($1, 'abandoned', $2, $3, '{7,8}')",
        host,
        by,
        reason,
    )


async def _add_many(system: System, by: str, number: int, at: datetime) -> None:
    """Actions on letters, sign-ins and cancels, all at the same time."""
    letter_id = (await kept(system, 1)).letter_id
    await system.database.execute(
        "INSERT INTO dead_letter_actions (letter_id, action, done_by, done_at)"
        " SELECT $1, 'replayed', $2, $3 FROM generate_series(1, $4::int)",
        *(letter_id, by, at, number),
    )
    await system.database.execute(
        "INSERT INTO audit (done_by, action, object, done_at)"
        " SELECT $1, 'signed_in', 'console', $2 FROM generate_series(1, $3::int)",
        *(by, at, number),
    )


async def _pages(operator: Operator, address: str) -> list[Page]:
    """All pages of a list, by its links."""
    pages = []
    while True:
        pages.append(await operator.get(address))
        assert pages[-1].status == 200, pages[-1].text
        found = re.search(r'href="([^"]+)" rel="next"', pages[-1].html)
        if found is None:
            return pages
        address = found[1].replace("&amp;", "&")


def _rows(page: Page) -> list[str]:
    found = re.findall(r"<tr>(.*?)</tr>", page.html, re.DOTALL)
    return [" ".join(re.sub("<[^>]+>", " ", row).split()) for row in found[1:]]


async def test_who_signs_in_is_listed(operator: Operator) -> None:
    page = await operator.get("/audit?kind=sign-ins&by=olga")

    assert "olga signed in to the console" in page.text


async def test_each_entry_leads_to_what_it_was_done_to(system: System, operator: Operator) -> None:
    letter_id = await _add_letter_action(system, "anna", "discarded")
    await _add_abandoned(system, "rack/7", "anna", "burnt down")
    await _add_cancel(system, 4711, "anna")

    page = await operator.get("/audit?kind=all&by=anna")

    assert f'discarded <a href="/dead-letters/{letter_id}">letter {letter_id}</a>' in page.html
    assert 'abandoned <a href="/hosts/rack%2F7">host rack/7</a>' in page.html
    assert "burnt down; 2 runs: 7, 8" in page.text
    assert 'asked to cancel <a href="/runs/4711">run 4711</a>' in page.html
    assert "superseded; over the REST API; outcome: none yet" in page.text
    assert len(_rows(page)) == 3


async def test_cancels_are_listed_only_when_asked_for(system: System, operator: Operator) -> None:
    await _add_cancel(system, 4712, "bert")
    await _add_cancel(system, 4713, None)
    await _add_letter_action(system, "bert")

    assert "run 4712" not in (await operator.get("/audit?by=bert")).text
    cancels = await operator.get("/audit?kind=cancels")
    assert "run 4712" in cancels.text
    assert "run 4713" not in cancels.text
    assert "letter" not in " ".join(_rows(await operator.get("/audit?kind=cancels&by=bert")))


async def test_every_entry_is_on_one_page_also_if_many_have_one_time(
    system: System, operator: Operator
) -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    await _add_many(system, "many", 70, at)
    await _add_many(system, "many", 30, at - timedelta(minutes=1))

    pages = await _pages(operator, "/audit?kind=all&since=2026-03-01T00:00&until=2026-03-01T12:01")

    rows = [row for page in pages for row in _rows(page)]
    assert [len(_rows(page)) for page in pages] == [50, 50, 50, 50]
    assert sum("replayed letter" in row for row in rows) == 100
    assert sum("signed in" in row for row in rows) == 100
    assert rows == sorted(rows, key=lambda row: row[:23], reverse=True)


async def test_a_page_that_finds_little_says_how_far_back_it_looked(
    system: System, operator: Operator
) -> None:
    await _add_many(system, "rare", 1, datetime(2026, 2, 1, tzinfo=UTC))
    await _add_many(system, "often", listing.LOOKED_AT + 10, datetime(2026, 2, 2, tzinfo=UTC))

    first, *others = await _pages(
        operator, "/audit?by=rare&since=2026-02-01T00:00&until=2026-02-03T00:00"
    )

    assert _rows(first) == []
    assert "Looked back to 2026-02-02 00:00:00.000 UTC" in first.text
    assert sum(len(_rows(page)) for page in others) == 2


async def test_hostile_names_are_shown_as_text(system: System, operator: Operator) -> None:
    await _add_abandoned(system, "hostile", HOSTILE, HOSTILE)

    page = await operator.get("/audit?kind=hosts")

    assert "<script>alert" not in page.html
    assert "\u202e" not in page.html
    assert r"<script>alert(1)</script>\u202e\x1b[31m abandoned host hostile" in page.text


@pytest.mark.parametrize(
    ("filters", "problem"),
    [
        ("kind=nonsense", "kind: 'nonsense' is none of actions, all,"),
        ("since=yesterday", "since: 'yesterday' is no time like 2026-01-31T23:59."),
        ("until=0001-01-01T00:00", "out of range"),
        ("by=%00", "by: has at most 255 characters, and no NUL."),
        ("by=a&by=b", "by: can be given only once."),
        ("before=1", "before: is not as in a link of this page."),
        ("before=1.letter.99999999999999999999", "before: is not as in a link of this page."),
        ("before=1.cancel.1-1", "before: is not as in a link of this page."),
        ("before=1.letter.a-b", "before: is not as in a link of this page."),
    ],
)
async def test_a_bad_filter_is_told_in_one_line(
    operator: Operator, filters: str, problem: str
) -> None:
    page = await operator.get(f"/audit?{filters}")

    assert page.status == 400
    assert problem in page.text


async def test_what_is_not_there_is_said(operator: Operator) -> None:
    assert "No entries." in (await operator.get("/audit?until=2020-01-01T00:00")).text


async def test_a_prune_is_told_with_its_numbers(system: System, operator: Operator) -> None:
    await system.database.execute(
        "INSERT INTO audit (done_by, action, object, detail)"
        " VALUES ('carl', 'pruned', 'records', $1)",
        json.dumps({"older_than": "90 days", "pruned": {"runs": 12, "cancellations": 0}}),
    )

    page = await operator.get("/audit?kind=prunes")

    assert "carl pruned records: 12 runs, 0 cancellations, older than 90 days" in page.text
