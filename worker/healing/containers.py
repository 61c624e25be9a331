"""Runs that may have containers, of which the record was undone."""

from collections.abc import Callable
from typing import TypeAlias
from uuid import UUID

from asyncpg import Record

from shared.postgres import sql
from shared.postgres.database import Database

ParentOf: TypeAlias = Callable[[UUID], str | None]
"""Where the containers of a launch are; None if it has asked for none."""


async def note_again(database: Database, run: Record, parent_of: ParentOf) -> None:
    """Note that the run may have containers, if it has asked for some. Raises ServiceUnavailable.

    A later worker would not look for them otherwise.
    """
    parent = parent_of(run["launch_id"])
    if parent is not None and run["containers_in"] is None:
        await database.fetch(sql.containers.NOTE, run["run_id"], run["launch_id"], parent)
