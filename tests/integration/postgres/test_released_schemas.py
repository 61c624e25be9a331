"""Databases of each released schema, with rows in every state, become the newest one."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import pytest

from shared.postgres.migrate import known
from tests.support.postgres.old_rows.filling import contents, fill
from tests.support.postgres.old_rows.model import OldRow
from tools.schemas.dumps import DumpUnavailable, dumped, load, migrate_to
from tools.schemas.folder import dump_file, released
from tools.services import Services
from tools.services.databases import new_database
from tools.support.rows import Connection, Row

NEWEST: Final = known()[-1].number
# What a column that came later has in the rows of earlier schemas; all others are null.
LATER_COLUMNS: Final[dict[str, Row]] = {
    "runs": {
        **{"stop_scope": "tree", "leftovers": "stop", "labels": {}, "expired": False},
        "containers_removed": False,
    },
    "cancellations": {"faults": {}, "taken_up": 0},
}
# What migrations find out for the rows of earlier schemas.
FOUND_OUT: Final = {"runs": ("loss", "proof")}
DERIVED: Final = {"dead_letters": ("error_group",)}
STATES: Final = {
    ("runs", "status"),
    ("runs", "containment"),
    ("runs", "proof"),
    ("runs", "stop_scope"),
    ("runs", "leftovers"),
    ("cancellations", "outcome"),
    ("dead_letters", "state"),
    ("dead_letter_actions", "action"),
    ("host_actions", "action"),
    ("outbox", "type"),
    ("audit", "action"),
}


@pytest.mark.parametrize("number", released())
async def test_each_row_keeps_its_meaning(services: Services, number: int) -> None:
    async with _of_schema(services, number) as (url, connection):
        rows = await fill(connection, number)
        before = await contents(connection)

        await migrate_to(url, NEWEST)

        after = await contents(connection)
        texts = await connection.fetchval("SELECT count(*) FROM dead_letter_texts")
    added = {key: row for key, row in after.items() if key not in before}
    assert before.keys() <= after.keys()
    assert {table for table, _ in added} <= ({"hosts"} if number < 4 else set())
    assert texts == sum(table == "dead_letters" for table, _ in after)
    expected = _expected(rows, before, after)
    for key, row in expected.items():
        assert after[key] == row, key


@pytest.mark.parametrize("number", released())
async def test_the_rows_have_every_state_that_the_schema_knows(
    services: Services, number: int
) -> None:
    async with _of_schema(services, number) as (_, connection):
        await fill(connection, number)
        states = await _states(connection)
        rows = await contents(connection)

    there = {
        (table, column): {
            row[column] for (of, _), row in rows.items() if of == table and row[column] is not None
        }
        for table, column in states
    }
    assert there == states


@pytest.mark.parametrize("number", released())
async def test_a_dump_is_what_its_migrations_make(services: Services, number: int) -> None:
    async with new_database(services) as url:
        await migrate_to(url, number)
        assert await _dumped(url) == dump_file(number).read_text()


@pytest.mark.parametrize("number", released())
async def test_each_dump_becomes_the_newest_one(services: Services, number: int) -> None:
    async with _of_schema(services, number) as (url, _):
        await migrate_to(url, NEWEST)
        assert await _dumped(url) == dump_file(NEWEST).read_text()


async def test_the_newest_schema_has_its_dump() -> None:
    assert NEWEST in released(), "run `python -m tools.schemas`"


@asynccontextmanager
async def _of_schema(services: Services, number: int) -> AsyncIterator[tuple[str, Connection]]:
    async with new_database(services) as url:
        await load(url, dump_file(number).read_text())
        connection = await asyncpg.connect(url)
        try:
            yield url, connection
        finally:
            await connection.close()


async def _dumped(url: str) -> str:
    try:
        return await dumped(url)
    except DumpUnavailable as error:
        pytest.skip(str(error))


def _expected(
    rows: list[OldRow], before: dict[tuple[str, Any], Row], after: dict[tuple[str, Any], Row]
) -> dict[tuple[str, Any], Row]:
    """What must be there of each row, by table and key."""
    said = {(row.table, _key(row)): row for row in rows}
    expected = {}
    for key, row in before.items():
        table = key[0]
        listed = said.get(key)
        later = {
            name: (
                listed.row.get(name)
                if listed and name in FOUND_OUT.get(table, ())
                else LATER_COLUMNS.get(table, {}).get(name)
            )
            for name in after[key]
        }
        derived = {name: after[key][name] for name in DERIVED.get(table, ()) if name not in row}
        changed = listed.becomes if listed else {}
        old = {("write_limit" if name == "rate_limit" else name): row[name] for name in row}
        expected[key] = {**later, **derived, **old, **changed}
    return expected


def _key(row: OldRow) -> Any:
    names = {"runs": "run_id", "dead_letters": "letter_id"}
    return row.row[names[row.table]] if row.table in names else None


async def _states(connection: Connection) -> dict[tuple[str, str], set[str]]:
    """The values that a CHECK allows in columns that are a state."""
    found: dict[tuple[str, str], set[str]] = {}
    for row in await connection.fetch(
        """
        SELECT conrelid::regclass::text AS of_table, pg_get_constraintdef(oid) AS text
          FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace
        """
    ):
        whole = re.fullmatch(r"CHECK \(\((\w+) = ANY \(ARRAY\[(.*)\]\)\)\)", row["text"])
        if whole and (row["of_table"], whole[1]) in STATES:
            found[row["of_table"], whole[1]] = set(re.findall(r"'([^']*)'::text", whole[2]))
    return found
