"""The SQL of deciding, for any number of commands at once.

A run is locked before anything is written of it or of its commands, whoever writes: so deciding and
writing are one step, and no two transactions wait for each other.
"""

from typing import Final

_LOCK_RUNS: Final = """
    SELECT asked.command_id AS asked_by, r.*,
           extract(epoch FROM r.stop_deadline - clock_timestamp())::float8 AS grace_left,
           h.abandoned_at IS NOT NULL AS host_abandoned,
           c.run_id AS command_run_id,
           c.outcome AS command_outcome,
           r.host <> $4 AND EXISTS (
               SELECT FROM cancellations o
                WHERE o.run_id = r.run_id AND o.outcome IS NULL
                  AND o.command_id <> asked.command_id AND (o.force OR NOT asked.force)
           ) AS is_asked_for
      FROM unnest($1::uuid[], $2::bigint[], $3::boolean[]) AS asked (command_id, run_id, force)
      JOIN runs r ON r.run_id = asked.run_id
      LEFT JOIN hosts h ON h.host = r.host
      -- LIMIT makes it an index lookup for each: a join may read the whole table while it is small.
      LEFT JOIN LATERAL (
          SELECT run_id, outcome FROM cancellations WHERE command_id = asked.command_id LIMIT 1
      ) c ON true
     ORDER BY r.run_id
       FOR UPDATE OF r {locked}
"""

# What somebody else has in hand is left out: of many, none waits for the others.
LOCK_FREE_RUNS: Final = _LOCK_RUNS.format(locked="SKIP LOCKED")
# For one: whoever has it in hand decides first.
LOCK_RUNS: Final = _LOCK_RUNS.format(locked="")

KNOWN_RUNS: Final = "SELECT run_id FROM runs WHERE run_id = ANY($1::bigint[])"

# A command's row is written with its outcome or, if there is something to do, with none yet. Only
# an open or a failed one may change: a repeat of a finished command leaves it, and its run, as they
# are.
# A grace period only ends earlier: force after force, or after the deadline, changes nothing. Not
# by clock_timestamp(), by which what was a later deadline when it was compared could be an earlier
# one when it is set.
RECORD: Final = """
    WITH decided AS (
        SELECT *
          FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[],
                      $7::boolean[], $8::float8[], $9::timestamptz[], $10::jsonb[], $11::text[],
                      $12::jsonb[], $13::float8[], $14::boolean[], $15::bytea[], $16::bytea[])
            AS d (command_id, run_id, via, publisher, requested_by, reason, force, grace_seconds,
                  requested_at, faults, outcome, evidence, begins_with, hurries, message_header,
                  message_body)
    ), recorded AS (
        INSERT INTO cancellations AS c
               (command_id, run_id, via, publisher, requested_by, reason, force, grace_seconds,
                requested_at, faults, outcome, finished_at, evidence, message_header, message_body)
        SELECT command_id, run_id, via, publisher, requested_by, reason, force, grace_seconds,
               requested_at, faults, outcome,
               CASE WHEN outcome IS NOT NULL THEN clock_timestamp() END, evidence,
               message_header, message_body
          FROM decided
        ON CONFLICT (command_id) DO UPDATE
           SET outcome = excluded.outcome,
               finished_at = excluded.finished_at,
               evidence = CASE WHEN excluded.outcome IS NULL THEN c.evidence
                   ELSE keeping_earlier(excluded.evidence, c.evidence) END,
               message_header = coalesce(excluded.message_header, c.message_header),
               message_body = coalesce(excluded.message_body, c.message_body),
               -- A replay begins anew.
               taken_up = CASE WHEN c.outcome IS NULL THEN c.taken_up + $17 ELSE 0 END
         WHERE c.run_id = excluded.run_id AND (c.outcome IS NULL OR c.outcome = 'stop_failed')
        RETURNING command_id, run_id, outcome
    ), canceled AS (
        UPDATE runs r
           SET status = 'canceled', finished_at = clock_timestamp(), proof = 'never_started'
          FROM recorded
         WHERE r.run_id = recorded.run_id AND recorded.outcome = 'canceled' AND r.status = 'queued'
    ), changed AS (
        UPDATE runs r
           SET status = 'canceling',
               canceling_at = coalesce(canceling_at, clock_timestamp()),
               stop_deadline = CASE WHEN hurries THEN statement_timestamp()
                   ELSE clock_timestamp() + make_interval(secs => begins_with) END,
               first_stop_deadline = CASE WHEN hurries
                   THEN coalesce(first_stop_deadline, stop_deadline) END
          FROM decided JOIN recorded USING (command_id)
         WHERE r.run_id = decided.run_id
           AND (hurries AND r.status = 'canceling' AND r.stop_deadline > statement_timestamp()
                OR begins_with IS NOT NULL AND r.status = 'running')
    )
    SELECT command_id FROM recorded
"""
