"""The SQL of deciding, for any number of commands at once.

Every writer locks the run before it writes to the run or its commands. So decision and write are
one step, and there are no deadlocks. For `IS TRUE` see `endings`.
"""

from typing import Final

from shared.postgres.sql.hosts import LEFT_BEHIND

# A stop of what a command left behind has its deadline there.
_LOCK_RUNS: Final = """
    SELECT asked.command_id AS asked_by, r.*,
           extract(epoch FROM CASE
               WHEN r.status IN ('pass', 'fail') THEN (r.left_behind ->> 'deadline')::timestamptz
               ELSE r.stop_deadline END - clock_timestamp())::float8 AS grace_left,
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

# For many: runs that another transaction has locked are skipped, so that none waits.
LOCK_FREE_RUNS: Final = _LOCK_RUNS.format(locked="SKIP LOCKED")
# For one: the transaction that has locked it decides first.
LOCK_RUNS: Final = _LOCK_RUNS.format(locked="")

KNOWN_RUNS: Final = "SELECT run_id FROM runs WHERE run_id = ANY($1::bigint[])"

_COMMAND: Final = """command_id, run_id, via, publisher, requested_by, reason, force,
                grace_seconds, requested_at, faults, reply_to, correlation_id"""
# An array in its own SELECT is planned for ten elements, whatever its size, so Postgres keeps one
# generic plan. Planning takes as long as executing the statement for one command.
_COMMANDS: Final = """(SELECT $1::uuid[]), $2::bigint[], $3::text[], $4::text[], $5::text[],
                      $6::text[], $7::boolean[], $8::float8[], $9::timestamptz[], $10::jsonb[],
                      $11::text[], $12::text[], $13::bytea[], $14::bytea[]"""

# A command's row is written with its outcome or, if the command is open, without one. A deadline
# only moves earlier: a second force, or a force after the deadline, changes nothing.
# statement_timestamp(), because clock_timestamp() could pass the deadline between the comparison
# and the assignment.
_WRITE: Final = f"""
    recorded AS (
        INSERT INTO cancellations AS c
               ({_COMMAND}, outcome, finished_at, evidence, message_header, message_body)
        SELECT {_COMMAND}, outcome,
               CASE WHEN outcome IS NOT NULL THEN clock_timestamp() END, evidence,
               CASE WHEN outcome IS NULL THEN message_header END,
               CASE WHEN outcome IS NULL THEN message_body END
          FROM decided
        ON CONFLICT (command_id) DO {{on_record}}
        RETURNING command_id, run_id, outcome
    ), canceled AS (
        UPDATE runs r
           SET status = 'canceled', finished_at = clock_timestamp(), proof = 'never_started'
          FROM recorded
         WHERE r.run_id = recorded.run_id AND recorded.outcome = 'canceled'
           AND (r.status = 'queued') IS TRUE
    ), changed AS (
        UPDATE runs r
           SET status = 'canceling',
               canceling_at = coalesce(canceling_at, clock_timestamp()),
               stop_deadline = CASE WHEN ends_grace THEN statement_timestamp()
                   ELSE clock_timestamp() + make_interval(secs => new_grace) END,
               first_stop_deadline = CASE WHEN ends_grace
                   THEN coalesce(first_stop_deadline, stop_deadline) END
          FROM decided JOIN recorded USING (command_id)
         WHERE r.run_id = decided.run_id
           AND (ends_grace AND r.status = 'canceling' AND r.stop_deadline > statement_timestamp()
                OR new_grace IS NOT NULL AND r.status = 'running') IS TRUE
        RETURNING r.*, new_grace
    )
"""  # noqa: S608 - put together from constants

# Only open and failed commands may change: a repeat of a finished command changes neither it nor
# its run.
RECORD: Final = f"""
    WITH decided AS (
        SELECT *
          FROM unnest({_COMMANDS}, $15::text[], $16::jsonb[], $17::float8[], $18::boolean[])
            AS d ({_COMMAND}, message_header, message_body,
                  outcome, evidence, new_grace, ends_grace)
    ), {_WRITE}
    SELECT command_id FROM recorded
""".format(  # noqa: S608 - likewise
    on_record="""UPDATE
           SET outcome = excluded.outcome,
               finished_at = excluded.finished_at,
               evidence = CASE WHEN excluded.outcome IS NULL THEN c.evidence
                   ELSE keeping_earlier(excluded.evidence, c.evidence) END,
               message_header = coalesce(excluded.message_header, c.message_header),
               message_body = coalesce(excluded.message_body, c.message_body),
               -- A publisher that asks again waits at its new address.
               reply_to = coalesce(excluded.reply_to, c.reply_to),
               correlation_id = CASE WHEN excluded.reply_to IS NULL THEN c.correlation_id
                   ELSE excluded.correlation_id END,
               -- A replay begins anew.
               taken_up = CASE WHEN c.outcome IS NULL THEN c.taken_up + $19 ELSE 0 END
         WHERE c.run_id = excluded.run_id AND (c.outcome IS NULL OR c.outcome = 'stop_failed')"""
)

# Lock, decide and write in one statement. For new commands on runs whose status alone decides ($15
# to $17: status, outcome, evidence), or that are running on host $18. Open commands need their
# message, so a stop begins only with one.
DECIDE_PLAIN: Final = f"""
    WITH asked AS (
        SELECT *
          FROM unnest({_COMMANDS}, $19::float8[])
            AS a ({_COMMAND}, message_header, message_body, asked_grace)
    ), held AS (
        SELECT run_id, status, grace_seconds AS own_grace
          FROM runs
         WHERE run_id = ANY ((SELECT $2::bigint[])::bigint[])
           AND (status = ANY ($15) AND NOT coalesce({LEFT_BEHIND}, false)
                OR status = 'running' AND host = $18) IS TRUE
           FOR UPDATE SKIP LOCKED
    ), decided AS (
        SELECT asked.*, rule.outcome, coalesce(rule.evidence, '{{{{}}}}') AS evidence,
               false AS ends_grace,
               CASE status WHEN 'running' THEN coalesce(asked_grace, own_grace, $20) END
                   AS new_grace
          FROM asked
          JOIN held USING (run_id)
          LEFT JOIN unnest((SELECT $15::text[]), $16::text[], $17::jsonb[])
            AS rule (status, outcome, evidence) USING (status)
         WHERE status <> 'running' OR message_header IS NOT NULL
    ), {_WRITE}
    SELECT command_id, outcome, changed.*
      FROM recorded LEFT JOIN changed USING (run_id)
     -- A run that was claimed between the snapshot and the lock is not in `changed`, which sees the
     -- snapshot: its command is open, and still has to be decided on.
     WHERE outcome IS NOT NULL OR changed.status IS NOT NULL
""".format(on_record="NOTHING")  # noqa: S608 - likewise
