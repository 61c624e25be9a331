"""A page of a list of runs: by status, host and labels, newest first."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from asyncpg import Record

from shared.limits import BIGINT_MAX
from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import RunStatus

HOST: Final = r"[A-Za-z0-9._-]{1,100}"
LABEL: Final = r"[^:\u0000]{1,63}:[^\u0000]{0,255}"
LOOKED_AT: Final = 5000
"""The most runs that one page looks at."""


@dataclass(frozen=True, slots=True)
class RunFilters:
    """Which runs: those that match all that is given. `labels` are key:value, as in LABEL."""

    status: RunStatus | None = None
    host: str | None = None
    labels: Sequence[str] = ()

    @property
    def count(self) -> int:
        return (self.status is not None) + (self.host is not None) + len(self.labels)


@dataclass(frozen=True, slots=True)
class RunPage:
    runs: Sequence[Record]
    """With the columns of FIND_RUN_SUMMARY."""
    last: int | None
    """The run after which the next page begins; None on the last page."""


async def list_page(
    database: Database, filters: RunFilters, limit: int, after: int | None
) -> RunPage:
    """At most `limit` runs, which come after run `after` in the list."""
    statement, index = _statement(filters)
    rows = await database.fetch(statement, *_arguments(filters, limit, after), *index)
    found = [row for row in rows if row["run_id"] is not None]
    shown = found[:limit]
    # More than fit, or more to look at.
    return RunPage(shown, shown[-1]["run_id"] if len(found) > limit else rows[0]["last"])


def _statement(filters: RunFilters) -> tuple[str, Sequence[str]]:
    """The statement that begins with the fewest runs, as far as that is known without looking."""
    if filters.status is not None and not filters.status.is_terminal:
        return sql.requests.LIST_BY_STATUS, ()
    if filters.labels:
        return sql.requests.LIST_BY_LABEL, filters.labels[:1]
    if filters.host is not None:
        return sql.requests.LIST_BY_HOST, ()
    if filters.status is not None:
        return sql.requests.LIST_BY_STATUS, ()
    return sql.requests.LIST_ALL, ()


def _arguments(filters: RunFilters, limit: int, after: int | None) -> Sequence[object]:
    # An index for the only condition finds nothing that is not listed.
    looked_at = limit + 1 if filters.count <= 1 else LOOKED_AT
    labels = [json.dumps(dict([label.split(":", 1)])) for label in filters.labels]
    newest = BIGINT_MAX if after is None else after - 1
    return filters.status, filters.host, labels, newest, looked_at, limit + 1
