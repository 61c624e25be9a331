"""All SQL that does for many runs at once what `shared.queries` does for one, guarded alike.

Each locks its runs first. Those that somebody else has in hand are passed over, so that no run
waits for another one, and no two of these statements for each other.
"""

from typing import Final

from shared.queries import ENDS_RUN

# CANCEL_QUEUED, BEGIN_STOP on host $11 and RECORD_COMMAND, and what is a no_op. The record comes
# first here, so that a command that turns out to be on record, for this run or another, changes no
# run.
DECIDE: Final = """
    WITH asked AS (
        SELECT *
          FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[],
                      $7::boolean[], $8::float8[], $9::timestamptz[], $13::jsonb[])
            AS a (command_id, run_id, via, publisher, requested_by, reason, force, grace_seconds,
                  requested_at, faults)
    ), held AS (
        SELECT run_id, status
          FROM runs
         WHERE run_id = ANY ($2)
           AND (status IN ('queued', 'pass', 'fail', 'canceled')
                OR (status = 'error' AND loss ->> 'proof' IS NOT NULL)
                OR (status = 'running' AND host = $11))
           FOR UPDATE SKIP LOCKED
    ), recorded AS (
        INSERT INTO cancellations
               (command_id, run_id, via, publisher, requested_by, reason, force, grace_seconds,
                requested_at, faults, outcome, finished_at, evidence)
        SELECT command_id, run_id, via, publisher, requested_by, reason, force, grace_seconds,
               requested_at, faults,
               CASE status WHEN 'queued' THEN 'canceled' WHEN 'running' THEN NULL
                           ELSE 'no_op' END,
               CASE WHEN status <> 'running' THEN clock_timestamp() END,
               CASE status WHEN 'queued' THEN $10::jsonb WHEN 'running' THEN '{}'
                           ELSE jsonb_build_object('run_status', status) END
          FROM asked JOIN held USING (run_id)
        ON CONFLICT (command_id) DO NOTHING
        RETURNING command_id, run_id, outcome, force, grace_seconds
    ), canceled AS (
        UPDATE runs r
           SET status = 'canceled', finished_at = clock_timestamp(),
               proof = $10::jsonb ->> 'proof'
          FROM recorded
         WHERE r.run_id = recorded.run_id AND recorded.outcome = 'canceled'
           AND r.status = 'queued'
    ), begun AS (
        UPDATE runs r
           SET status = 'canceling',
               canceling_at = clock_timestamp(),
               stop_deadline = clock_timestamp() + make_interval(secs =>
                   CASE WHEN recorded.force THEN 0
                        ELSE coalesce(recorded.grace_seconds, r.grace_seconds, $12) END)
          FROM recorded
         WHERE r.run_id = recorded.run_id AND recorded.outcome IS NULL
           AND r.status = 'running'
        RETURNING r.*
    )
    SELECT command_id, outcome, begun.*,
           extract(epoch FROM stop_deadline - clock_timestamp())::float8 AS grace_left
      FROM recorded LEFT JOIN begun USING (run_id)
"""

# RECORD_CANCELED, and CLOSE_COMMANDS where that changed a row.
RECORD_CANCELED: Final = """
    WITH stopped AS (
        SELECT * FROM unnest($1::bigint[], $2::jsonb[]) AS s (run_id, evidence)
    ), held AS (
        SELECT run_id FROM runs
         WHERE run_id = ANY ($1) AND status = 'canceling'
           FOR UPDATE SKIP LOCKED
    ), canceled AS (
        UPDATE runs r
           SET status = 'canceled', finished_at = clock_timestamp(),
               proof = stopped.evidence ->> 'proof'
          FROM held JOIN stopped USING (run_id)
         WHERE r.run_id = held.run_id AND r.status = 'canceling'
        RETURNING r.run_id
    ), closed AS (
        UPDATE cancellations c
           SET outcome = 'canceled', finished_at = clock_timestamp(),
               evidence = stopped.evidence || CASE c.evidence WHEN '{}' THEN '{}'
                   ELSE jsonb_build_object('earlier', coalesce(c.evidence -> 'earlier',
                                                               c.evidence)) END
          FROM canceled JOIN stopped USING (run_id)
         WHERE c.run_id = canceled.run_id
           AND (c.outcome IS NULL OR c.outcome = 'stop_failed')
    )
    SELECT run_id FROM canceled
"""

_COMPLETE: Final = """
    WITH ended AS (
        SELECT *
          FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::integer[])
            AS e (run_id, launcher_pid, launcher_start_ticks, code)
    ), own AS (
        SELECT r.run_id, r.status, r.cgroup, r.launch_id, ended.code
          FROM runs r JOIN ended USING (run_id, launcher_pid, launcher_start_ticks)
         WHERE r.boot_id = $5 AND coalesce(r.pid_namespace, $6) = $6
           FOR UPDATE OF r {locked}
    ), completed AS (
        UPDATE runs r
           SET status = CASE WHEN own.code = 0 THEN 'pass' ELSE 'fail' END,
               exit_code = own.code, finished_at = clock_timestamp()
          FROM own
         WHERE r.run_id = own.run_id AND r.status = 'running'
        RETURNING r.run_id, r.status
    ), over AS (
        -- What was asked for, and waited, while it ended.
        UPDATE cancellations c
           SET outcome = 'no_op', finished_at = clock_timestamp(),
               evidence = c.evidence || jsonb_build_object('run_status', completed.status)
          FROM completed
         WHERE c.run_id = completed.run_id AND c.outcome IS NULL
    ), noted AS (
        UPDATE runs r
           SET exit_code = own.code
          FROM own
         WHERE r.run_id = own.run_id AND r.status IN ('canceling', 'canceled')
           AND r.exit_code IS NULL
        RETURNING r.run_id
    )
    SELECT own.run_id, coalesce(completed.status, own.status) AS status, cgroup, launch_id,
           completed.run_id IS NOT NULL OR noted.run_id IS NOT NULL AS is_news
      FROM own
      LEFT JOIN completed ON completed.run_id = own.run_id
      LEFT JOIN noted ON noted.run_id = own.run_id
"""

# The exit code of a run that is being stopped is worth keeping; its status is the stop's to set.
COMPLETE: Final = _COMPLETE.format(locked="SKIP LOCKED")
# For one: whoever has it in hand decides first.
COMPLETE_WAITING: Final = _COMPLETE.format(locked="")

FIND_ENDING_CANCELLATIONS: Final = f"""
    SELECT r.run_id, requested_by, via, reason, outcome, evidence ->> 'ended' AS ended,
           evidence ->> 'proof' AS proof, evidence #>> '{{signals,0,signal}}' AS signal,
           (evidence ->> 'duration_ms')::float8 AS duration_ms
      FROM unnest($1::bigint[]) AS r (run_id), LATERAL {ENDS_RUN} AS c
"""  # noqa: S608 - put together from constants
