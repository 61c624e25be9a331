"""All SQL that registers runs, by name."""

from typing import Final

from shared.postgres.sql.replication import IS_SYNCHRONOUS, WRITE_NOTHING

# $1 to $8: the runs, each in its place.
_ASKED: Final = """
    SELECT *
      FROM unnest($1::bigint[], $2::float8[], $3::text[], $4::text[], $5::jsonb[], $6::text[],
                  $7::timestamptz[], $8::text[]) WITH ORDINALITY
        AS a (run_id, grace_seconds, stop_signal, stop_scope, labels, url, start_before, leftovers,
              place)
"""

_OPTIONS_DIFFER: Final = """
    (a.grace_seconds, a.stop_signal, a.stop_scope, a.labels, a.url, a.start_before, a.leftovers)
    IS DISTINCT FROM
    (r.grace_seconds, r.stop_signal, r.stop_scope, r.labels, r.url, r.start_before, r.leftovers)
"""

# Without a result if another transaction registers the run
# at this moment: this statement does not see it yet.
REGISTER: Final = f"""
    WITH asked AS ({_ASKED}), created AS (
        INSERT INTO runs (run_id, grace_seconds, stop_signal, stop_scope, labels, url, start_before,
                          leftovers)
        SELECT run_id, grace_seconds, stop_signal, stop_scope, labels, url, start_before, leftovers
          FROM asked
         ORDER BY run_id  -- in one order, so that two batches cannot deadlock
        ON CONFLICT (run_id) DO NOTHING
        RETURNING run_id
    )
    SELECT CASE
               WHEN created.run_id IS NOT NULL THEN 'created'
               WHEN r.run_id IS NULL THEN NULL
               -- Never null: this waits until the run is on the standby, too.
               WHEN {IS_SYNCHRONOUS} AND {WRITE_NOTHING} IS NULL THEN NULL
               WHEN {_OPTIONS_DIFFER} THEN 'conflict'
               WHEN r.status = 'queued' THEN 'exists'
               ELSE 'started'
           END AS result
      FROM asked a
      LEFT JOIN created USING (run_id)
      LEFT JOIN runs r ON r.run_id = a.run_id
     ORDER BY a.place
"""  # noqa: S608 - put together from constants

ARE_REGISTERED: Final = f"""
    SELECT r.run_id IS NOT NULL AND NOT ({_OPTIONS_DIFFER}) AS is_registered
      FROM ({_ASKED}) a LEFT JOIN runs r USING (run_id)
     ORDER BY a.place
"""  # noqa: S608 - put together from constants

FIND_OPTIONS: Final = """
    SELECT run_id, grace_seconds, stop_signal, stop_scope, labels, url, start_before, leftovers
      FROM runs WHERE run_id = ANY ($1::bigint[])
"""

IN_TIME: Final = "SELECT clock_timestamp() + $1::interval AS start_before"

# Runs that did not start in time. statement_timestamp(), because no index serves a comparison with
# clock_timestamp(), which changes during the scan.
EXPIRE: Final = """
    WITH due AS (
        SELECT run_id FROM runs
         WHERE status = 'queued' AND start_before <= statement_timestamp()
         ORDER BY start_before
         LIMIT $1
           FOR UPDATE SKIP LOCKED
    )
    UPDATE runs r
       SET status = 'canceled', finished_at = clock_timestamp(), proof = 'never_started',
           expired = true
      FROM due
     WHERE r.run_id = due.run_id AND (r.status = 'queued') IS TRUE
    RETURNING r.run_id
"""

# For one, whose launcher is there too late.
EXPIRE_ONE: Final = """
    UPDATE runs
       SET status = 'canceled', finished_at = clock_timestamp(), proof = 'never_started',
           expired = true
     WHERE run_id = $1 AND status = 'queued' AND start_before <= clock_timestamp()
    RETURNING run_id
"""
