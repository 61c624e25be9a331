"""Dead letters by filters: what is found, and that no list reads all of them."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from shared.configuration.settings import DatabaseSettings
from shared.postgres import sql
from shared.postgres.database import Database, connected
from shared.states import DeadReason
from tools.services import Services
from tools.services.databases import new_database
from tools.support.rows import Connection
from worker.console.letters.list_page import ListPage
from worker.console.web.rendering import add_rendering
from worker.dead_letters import store as letter_store
from worker.dead_letters.replays.planning import Planned, plan
from worker.dead_letters.wanted import Filter, GroupBy, LetterState, where

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY: Final = 10_000
_ADD_MANY: Final = """
    INSERT INTO dead_letters
           (letter_key, digest, reason, error, attempts, exchange, routing_key, via, publisher,
            run_id, requested_by, body, state)
    SELECT n, 'x', CASE WHEN n % 2 = 0 THEN 'unknown_run' ELSE 'malformed' END,
           'run ' || n || ' is unknown', 4, '', 'run.cancel', 'direct', 'user' || n % 7, n,
           'person' || n % 40,
           convert_to('{"run_id": ' || n || ', "reason": "superseded"}', 'UTF8'),
           CASE WHEN n % 10 = 0 THEN 'replayed' ELSE 'waiting' END
      FROM generate_series(1, $1::int) n
"""
_ADD: Final = """
    INSERT INTO dead_letters
           (letter_key, digest, reason, error, attempts, exchange, routing_key, via, body,
            full_size, replays)
    VALUES (gen_random_uuid(), 'x', 'foreign', $1, 1, '', 'run.cancel', 'direct', $2, $3, $4)
    RETURNING letter_id
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(services: Services, template: str) -> AsyncIterator[str]:
    async with new_database(services, template) as url:
        connection = await asyncpg.connect(url)
        # What tells of each would take longer than the letters themselves.
        await connection.execute("ALTER TABLE dead_letters DISABLE TRIGGER dead_letters_kept")
        await connection.execute(_ADD_MANY, MANY)
        await connection.execute("VACUUM ANALYZE dead_letters, dead_letter_texts")
        await connection.close()
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(url: str) -> AsyncIterator[Database]:
    async with connected(DatabaseSettings.model_validate({"DATABASE_URL": url})) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connection(url: str) -> AsyncIterator[Connection]:
    opened = await asyncpg.connect(url)
    yield opened
    await opened.close()


FILTERS: Final = {
    "waiting": Filter(),
    "all": Filter(state=None),
    "reason": Filter(reason=DeadReason.MALFORMED),
    "error": Filter(error="run * is unknown"),
    "publisher": Filter(publisher="user3"),
    "no publisher": Filter(publisher="nobody"),
    "requested by": Filter(requested_by="person7"),
    "requested by nobody": Filter(requested_by="nobody", state=None),
    "run": Filter(run_id=17),
    "older": Filter(older_than=timedelta(days=1)),
    "newer": Filter(newer_than=timedelta(days=1), publisher="nobody"),
    "common text": Filter(grep="superseded"),
    "rare text": Filter(grep="run 7771 is"),
    "quoted text": Filter(grep='"superseded"'),
    "ids": Filter(state=None, ids=(3, 4, 5)),
}


@pytest.mark.parametrize("name", FILTERS)
async def test_no_list_and_no_count_reads_a_table_from_its_start_to_its_end(
    connection: Connection, name: str
) -> None:
    lists, page = sql.letter_lists, where(FILTERS[name], before=8_000)
    rest = where(FILTERS[name], after=100)
    queries = [
        (lists.newest(page.text, page.after()), (*page.arguments, 100)),
        (lists.oldest_whole(rest.text, rest.after()), (*rest.arguments, 1000)),
        (lists.ids(rest.text, rest.after()), (*rest.arguments, 1000)),
        (lists.counts(page.text, page.after(), "error_group"), (*page.arguments, 100)),
        (lists.total(page.text), page.arguments),
        (lists.groups(page.text, page.after(), 1000), (*page.arguments, 100)),
        (lists.planned(page.text, page.after(1), page.after(2)), (*page.arguments, 3, False)),
    ]
    async with connection.transaction():
        await connection.execute(lists.PLAN)
        for query, arguments in queries:
            rows = await connection.fetch(f"EXPLAIN {query}", *arguments)
            shown = "\n".join(row[0] for row in rows)

            assert "Seq Scan" not in shown, shown


async def test_counts_are_read_from_the_index_alone(connection: Connection) -> None:
    condition = where(Filter(reason=DeadReason.MALFORMED, requested_by="person7"))
    async with connection.transaction():
        await connection.execute(sql.letter_lists.PLAN)
        for column in ("error_group", "reason", "publisher", "run_id", "state"):
            query = sql.letter_lists.counts(condition.text, condition.after(), column)
            rows = await connection.fetch(f"EXPLAIN {query}", *condition.arguments, 100)

            assert "Index Only Scan using dead_letters_by_state" in "\n".join(
                row[0] for row in rows
            )


async def test_errors_that_differ_in_numbers_and_names_are_one_group(
    database: Database, connection: Connection
) -> None:
    for error in (
        "host 'a1' said \"no\" to run 7, at 2026-01-02T03:04:05Z",
        "host 'b' said \"it's late\" to run 1234, at 2026-11-12T13:14:15.678Z",
    ):
        await connection.fetchval(_ADD, error, b"", None, 0)

    counts = await letter_store.count(database, Filter(reason=DeadReason.FOREIGN), GroupBy.ERROR)
    found = {row["value"]: row["letters"] for row in counts.rows}

    group = "host * said * to run *, at *"
    assert found[group] == 2
    assert len(await letter_store.find(database, Filter(error=group), 10)) == 2
    counts = await letter_store.count(
        database, Filter(state=None, error="run * is unknown"), GroupBy.ERROR
    )
    assert [row["letters"] for row in counts.rows] == [MANY]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"a": "Compiler-Cache"}', "compiler-CACHE"),
        ("größer als ÄRGER".encode(), "ärger"),
        ("ошибка".encode(), "ОШИБКА"),
        (json.dumps({"by": "JOSÉ S"}).encode(), "josé s"),
        (json.dumps({"by": 'say "hi there"'}).encode(), 'say "hi there"'),
        (b"100% of a_b\\c", "100% of a_b\\c"),
        (b"\xff\x00 bytes Here", "BYTES here"),
        (b"\xff" * 4_087 + b"last BYTES", "last byte"),
        *(
            # Cut within a character, which has up to four bytes.
            ("ÄRGER ".encode() + b"x" * (16_384 - 7 - cut) + "😀 rest".encode(), "ärger xxx")
            for cut in range(4)
        ),
        (("x " * 8_190 + "ENDS and on").encode(), "x ends"),
    ],
    ids=[
        *("case", "umlaut", "cyrillic", "escaped", "quotes", "wildcards", "no text"),
        *("long, no text", "not cut", "cut 1", "cut 2", "cut 3", "end"),
    ],
)
async def test_a_text_is_found_in_the_body(
    database: Database, connection: Connection, body: bytes, text: str
) -> None:
    letter = await connection.fetchval(_ADD, "nothing", body, None, 0)

    found = await letter_store.find(database, Filter(grep=text, reason=DeadReason.FOREIGN), 1)

    assert [row["letter_id"] for row in found] == [letter]


@pytest.mark.parametrize("head", [b" " * 16_384, b"\xff" * 4_096], ids=["text", "no text"])
async def test_what_comes_later_in_a_long_body_is_not_searched(
    database: Database, connection: Connection, head: bytes
) -> None:
    text = uuid4().hex
    await connection.fetchval(_ADD, "nothing", head[:-32] + text.encode(), None, 0)
    wanted = Filter(grep=text)
    assert len(await letter_store.find(database, wanted, 9)) == 1

    await connection.fetchval(_ADD, "nothing", head + text.encode(), None, 0)

    assert len(await letter_store.find(database, wanted, 9)) == 1


@pytest.mark.parametrize("text", ["100% of aXb", "100 of a", "nowhere to be found"])
async def test_a_wildcard_of_sql_is_a_character_like_others(database: Database, text: str) -> None:
    assert await letter_store.find(database, Filter(state=None, grep=text), 1) == []


async def test_a_text_is_found_in_the_error_too_and_goes_with_its_letter(
    database: Database, connection: Connection
) -> None:
    letter = await connection.fetchval(_ADD, "Strange Words", b"", None, 0)
    wanted = Filter(state=None, grep="strange words")
    assert [row["letter_id"] for row in await letter_store.find(database, wanted, 5)] == [letter]

    await connection.execute("DELETE FROM dead_letters WHERE letter_id = $1", letter)

    assert await letter_store.find(database, wanted, 5) == []


async def test_pages_follow_one_another_without_a_gap(database: Database) -> None:
    wanted, before, seen = Filter(grep="run 99", state=LetterState.REPLAYED), None, []
    while page := await letter_store.find(database, wanted, 5, before):
        seen += [row["letter_id"] for row in page]
        before = seen[-1]

    assert seen == [*range(9_990, 9_899, -10), 990]


async def test_counts_of_a_text_end_at_the_newest_and_say_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare, common = Filter(grep="run 99"), Filter(grep="superseded", state=None)
    whole = await letter_store.count_groups(database, rare)
    assert (whole.is_whole, sum(row["letters"] for row in whole.rows)) == (True, 100)
    monkeypatch.setattr(letter_store, "MOST_COUNTED", 100)

    for counts in (
        await letter_store.count(database, common, GroupBy.REASON),
        await letter_store.count_groups(database, common),
    ):
        assert not counts.is_whole
        assert sum(row["letters"] for row in counts.rows) == 100
    by_run = await letter_store.count(database, common, GroupBy.RUN)
    assert {row["value"] for row in by_run.rows} == {*range(MANY - 99, MANY + 1)}
    assert await letter_store.total_shown(database, common) == 100
    # What is done is done to all.
    assert await letter_store.total(database, common) == MANY
    assert await letter_store.total_shown(database, Filter(state=None, reason=None)) >= MANY


async def test_the_console_says_where_its_counts_end(database: Database) -> None:
    app = web.Application()
    add_rendering(app, {})
    address = "/dead-letters?state=all&search=superseded"

    response = await ListPage(database).handle(make_mocked_request("GET", address, app=app))

    assert response.text is not None
    assert "10,000 or more letters</h2>" in response.text
    assert "the newest 10,000 letters with this text are counted" in response.text
    response = await ListPage(database).handle(
        make_mocked_request("GET", "/dead-letters?search=superseded", app=app)
    )
    assert response.text is not None
    assert "9,000 waiting letters</h2>" in response.text
    assert "Replay all 9,000…" in response.text
    assert "are counted" not in response.text


async def test_the_command_says_where_its_counts_end(url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", "dead-letters", "list", "--state", "all"),
        *("--grep", "superseded", "--count-by", "state", "--json"),
        env={**os.environ, "DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()

    rows = json.loads(out)
    assert [(row["value"], row["letters"]) for row in rows] == [
        ("waiting", 9_000),
        ("replayed", 1_000),
    ]
    assert {*rows[0]} == {"value", "letters", "oldest", "newest"}
    assert err.decode() == (
        "cancel-worker: counted the newest 10,000 letters with this text; there may be more\n"
    )


async def test_a_plan_says_what_becomes_of_each_letter(
    database: Database, connection: Connection
) -> None:
    whole = await connection.fetchval(_ADD, "plan", b"a", None, 0)
    cut = await connection.fetchval(_ADD, "plan", b"a", 9, 0)
    often = await connection.fetchval(_ADD, "plan", b"a", None, 3)

    usual = await plan(database, [whole, cut, often, 999_999], force=False, limit=2)
    forced = await plan(database, Filter(error="plan"), force=True, limit=9)

    assert [(row["letter_id"], kind) for row, kind in usual.letters] == [
        (often, Planned.TOO_OFTEN),
        (cut, Planned.CUT),
    ]
    assert usual.counts == {
        Planned.SENT: 1,
        Planned.CUT: 1,
        Planned.TOO_OFTEN: 1,
        Planned.DISCARDED: 0,
    }
    assert usual.missing == [999_999]
    assert (forced.counts[Planned.SENT], forced.counts[Planned.CUT]) == (2, 1)
