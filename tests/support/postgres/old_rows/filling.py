"""Writes the rows of a schema into a database, and reads what a database has."""

import json
from typing import Any, Final

import asyncpg

from tests.support.postgres.old_rows.model import STEP, OldRow
from tests.support.postgres.old_rows.others import others
from tests.support.postgres.old_rows.runs import Runs
from tools.support.rows import Connection, Row

_KEYS: Final = {
    "runs": "run_id",
    "cancellations": "command_id",
    "tokens": "token_hash",
    "rate_windows": "spender",
    "dead_letters": "letter_id",
    "dead_letter_actions": "action_id",
    "hosts": "host",
    "host_actions": "action_id",
    "run_labels": "run_id",
    "outbox": "event_id",
    "audit": "audit_id",
}


def rows_of(number: int) -> list[OldRow]:
    """All rows that the programs of schema `number` write."""
    listed = [*Runs(number * STEP).rows(), *others(number * STEP)]
    return [row for row in listed if row.since <= number <= row.until]


async def fill(connection: Connection, number: int) -> list[OldRow]:
    """Write them into a database with this schema. The columns that it lacks are left out."""
    rows = rows_of(number)
    columns = await _columns(connection)
    for each in rows:
        known = {
            column: value
            for name, value in each.row.items()
            if (column := _renamed(each.table, name, number)) in columns[each.table]
        }
        names = ", ".join(known)
        await connection.execute(
            f"INSERT INTO {each.table} ({names}) OVERRIDING SYSTEM VALUE"  # noqa: S608 - from here
            f" SELECT {names} FROM json_populate_record(NULL::{each.table}, $1::json)"
            # The migration to 0004 has added those of earlier runs.
            + (" ON CONFLICT DO NOTHING" if each.table == "hosts" else ""),
            json.dumps(known),
        )
    return rows


def _renamed(table: str, column: str, number: int) -> str:
    return "rate_limit" if (table, column, number) == ("tokens", "write_limit", 1) else column


async def _columns(connection: Connection) -> dict[str, set[str]]:
    query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = $1"
    found: dict[str, set[str]] = {}
    for row in await connection.fetch(query, "public"):
        found.setdefault(row["table_name"], set()).add(row["column_name"])
    return found


async def contents(connection: Connection) -> dict[tuple[str, Any], Row]:
    """All rows, as JSON, by table and key."""
    found: dict[tuple[str, Any], Row] = {}
    for table, key in _KEYS.items():
        try:
            query = f"SELECT to_jsonb(t) AS row FROM {table} t"  # noqa: S608 - a name from above
            rows = await connection.fetch(query)
        except asyncpg.UndefinedTableError:
            continue
        for row in map(json.loads, (row["row"] for row in rows)):
            found[table, row[key]] = row
    return found
