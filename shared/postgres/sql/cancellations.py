"""The SQL of the gateway for cancel commands: those on record, and runs to cancel together."""

from typing import Final

from shared.postgres.sql.hosts import LEFT_BEHIND, LOST, SINCE, STATE

# $1 command ids; `looked`: whether processes were looked for. LATERAL and LIMIT make it an index
# lookup for each.
FIND_COMMANDS: Final = """
    SELECT c.*, r.status, r.canceling_at, r.finished_at
      FROM unnest($1::uuid[]) AS asked (command_id),
           LATERAL (SELECT command_id, run_id, force, requested_at, received_at, outcome,
                           evidence ? 'ended' AS looked
                      FROM cancellations WHERE command_id = asked.command_id LIMIT 1) c
      JOIN runs r USING (run_id)
"""

FIND_STATUSES: Final = f"""
    SELECT run_id, status, ({LOST}) OR ({LEFT_BEHIND}) AS leftovers_possible
      FROM runs WHERE run_id = ANY ($1::bigint[])
"""  # noqa: S608 - put together from constants

# Queued and running runs before $2 with the labels $1, the oldest $3 of them, and the number of
# all. Runs with an open command are left out: they are being canceled, and would hide the rest
# when the request is repeated. By the labels of the run itself: the runs that are not over are
# few, while `run_labels` has those of all runs ever. MATERIALIZED, or Postgres might go through all
# runs by their ids, for the order.
LIST_SUPERSEDED: Final = """
    WITH live AS MATERIALIZED (
        SELECT run_id, status
          FROM runs
         WHERE status = ANY (ARRAY['queued', 'running']) AND run_id < $2 AND labels @> $1::jsonb
    )
    SELECT run_id, status, false AS leftovers_possible, count(*) OVER () AS matched
      FROM live r
     WHERE NOT EXISTS (SELECT FROM cancellations c
                        WHERE c.run_id = r.run_id AND c.outcome IS NULL)
     ORDER BY run_id
     LIMIT $3
"""

_SHOW: Final = f"""
    SELECT c.command_id, c.via, c.requested_by, c.reason, c.force, c.received_at, c.outcome,
           c.finished_at AS answered_at, r.status, r.host, {STATE} AS host_state,
           coalesce({SINCE}, c.received_at) AS host_since,
           c.evidence ->> 'ended' AS ended,
           c.evidence ->> 'proof' AS proof,
           (c.evidence -> 'duration_ms')::float8 AS duration_ms,
           coalesce(jsonb_array_length(c.evidence -> 'containers'), 0) AS containers
      FROM cancellations c
      JOIN runs r USING (run_id)
      LEFT JOIN hosts h ON h.host = r.host AND c.outcome IS NULL
"""  # noqa: S608 - put together from constants

SHOW: Final = f"{_SHOW} WHERE c.run_id = $1 AND c.command_id = $2"

_NIL: Final = "00000000-0000-0000-0000-000000000000"
# Those of run $1 after the one received at $2 with the id $3, if these are not null.
SHOW_ALL: Final = f"""{_SHOW}
     WHERE c.run_id = $1
       AND (c.received_at, c.command_id) > (coalesce($2::timestamptz, '-infinity'),
                                            coalesce($3::uuid, '{_NIL}'))
     ORDER BY c.received_at, c.command_id
     LIMIT $4
"""

FIND_RECEIVED_AT: Final = """
    SELECT received_at FROM cancellations WHERE run_id = $1 AND command_id = $2
"""
