"""The open commands of a host, in Postgres."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from asyncpg import Record

from shared.commands import CancelCommand
from shared.postgres import sql
from shared.postgres.database import Connection, Database
from shared.states import Via
from worker.messages.request import Origin, Request


@dataclass(frozen=True, slots=True)
class OpenCommand:
    """An open command."""

    request: Request
    taken_up: int
    """How often it has been taken up."""
    message_header: bytes | None


async def find_open(
    database: Database,
    host: str,
    most: int,
    *,
    excluded: Collection[int],
    in_grace: Collection[int],
    only_forced: bool,
) -> list[OpenCommand]:
    """Open commands on runs of `host`, one per run, oldest first.

    Without `excluded` runs. On runs `in_grace`, only forced commands count; with `only_forced`,
    only these are returned.
    """
    rows = await database.fetch(sql.runs.LIST_OPEN, host, excluded, most, in_grace, only_forced)
    return [_open_command(row) for row in rows]


def _open_command(row: Record) -> OpenCommand:
    fields = ("run_id", "command_id", "reason", "requested_by", "requested_at", "force")
    command = CancelCommand(
        **{name: row[name] for name in fields}, grace_seconds=row["grace_seconds"]
    )
    origin = Origin(Via(row["via"]), row["publisher"], json.loads(row["faults"]))
    return OpenCommand(Request(command, origin), row["taken_up"], row["message_header"])


async def is_open(connection: Connection, command_id: UUID) -> bool:
    """Whether the command has no outcome yet."""
    found: bool = await connection.fetchval(sql.runs.IS_OPEN, command_id)
    return found
