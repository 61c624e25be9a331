"""The SQL of the audit: who did what, from all tables that tell of it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

ADD: Final = "INSERT INTO audit (done_by, action, object, detail) VALUES ($1, $2, $3, $4::jsonb)"


class Source(NamedTuple):
    """A table that tells who did what, and which of its columns do."""

    table: str
    time: str
    key: str
    """Unique, and the order of rows of one time."""
    key_type: str
    by: str
    action: str
    object: str
    columns: str
    """Others that are told of."""
    detail: str
    """An object in JSON, of these."""


SOURCES: Final[Mapping[str, Source]] = {
    "letter": Source(
        "dead_letter_actions",
        "done_at",
        "action_id",
        "bigint",
        "done_by",
        "action",
        "letter_id::text",
        "command_id, note",
        "jsonb_build_object('command_id', command_id, 'note', note)",
    ),
    "host": Source(
        "host_actions",
        "done_at",
        "action_id",
        "bigint",
        "done_by",
        "action",
        "host",
        "reason, run_ids",
        "jsonb_build_object('reason', reason, 'runs', cardinality(run_ids),"
        " 'first_runs', run_ids[:5])",
    ),
    "other": Source(
        *("audit", "done_at", "audit_id", "bigint"),
        *("done_by", "action", "object", "detail", "detail"),
    ),
    "cancel": Source(
        "cancellations",
        "received_at",
        "command_id",
        "uuid",
        "requested_by",
        "'canceled'::text",
        "run_id::text",
        "via, publisher, reason, force, outcome",
        "jsonb_build_object('via', via, 'publisher', publisher, 'reason', reason, 'force', force,"
        " 'outcome', outcome)",
    ),
}
"""In the order in which entries of one time are listed."""

# Before $1, and at that time with a key below $2; not before $3. Of the newest {looked_at} rows,
# those by $4 whose action is one of $5 (null: all), at most $6; and the last row that was looked
# at, if there are as many. So a page about somebody who has done little costs no more than others.
_NEWEST: Final = """
    WITH looked AS MATERIALIZED (
        SELECT {time} AS at, {key} AS key, {by} AS by, {action} AS action, {object} AS object,
               {columns}
          FROM {table}
         WHERE {time} <= $1 AND ({time}, {key}) < ($1, $2::{key_type}) AND {time} >= $3
         ORDER BY {time} DESC, {key} DESC
         LIMIT {looked_at}
    )
    (SELECT at, key::text, by, action, object, {detail} AS detail, false AS is_end
       FROM looked
      WHERE by IS NOT NULL AND ($4::text IS NULL OR by = $4)
        AND ($5::text[] IS NULL OR action = ANY ($5))
      ORDER BY looked.at DESC, looked.key DESC
      LIMIT $6)
    UNION ALL
    (SELECT at, key::text, NULL, NULL, NULL, NULL, true
       FROM looked
      ORDER BY looked.at DESC, looked.key DESC
     OFFSET {looked_at} - 1 LIMIT 1)
"""


def newest(source: str, looked_at: int) -> str:
    """The newest entries of a source, among `looked_at` rows.

    A number in the text, because the plan depends on it.
    """
    return _NEWEST.format(**SOURCES[source]._asdict(), looked_at=int(looked_at))
