"""All SQL by which many runs come to their ends at once.

Each locks its runs first. Those that somebody else has locked are passed over, so that no run
waits for another one, and no two of these statements for each other.

`IS TRUE` keeps a condition on the status from being looked up in an index. Runs are to be found by
their ids: an index by status still has all that were in it since the last vacuum, and a plan that
was made while there were few goes on when there are many.
"""

from typing import Final

from shared.postgres.sql.runs import ENDS_RUN

# Of runs that are proved gone. Their commands are answered with it.
_RECORD_CANCELED: Final = """
    WITH stopped AS (
        SELECT * FROM unnest($1::bigint[], $2::jsonb[]) AS s (run_id, evidence)
    ), held AS (
        SELECT run_id FROM runs
         WHERE run_id = ANY ($1) AND (status = 'canceling') IS TRUE
           FOR UPDATE {locked}
    ), canceled AS (
        UPDATE runs r
           SET status = 'canceled', finished_at = clock_timestamp(),
               proof = stopped.evidence ->> 'proof'
          FROM held JOIN stopped USING (run_id)
         WHERE r.run_id = held.run_id AND (r.status = 'canceling') IS TRUE
        RETURNING r.run_id
    ), closed AS (
        UPDATE cancellations c
           SET outcome = 'canceled', finished_at = clock_timestamp(),
               evidence = keeping_earlier(stopped.evidence, c.evidence)
          FROM canceled JOIN stopped USING (run_id)
         WHERE c.run_id = canceled.run_id
           AND (c.outcome IS NULL OR c.outcome = 'stop_failed')
    )
    SELECT run_id FROM canceled
"""

RECORD_CANCELED: Final = _RECORD_CANCELED.format(locked="SKIP LOCKED")
# For one: whoever has it locked is first.
RECORD_CANCELED_WAITING: Final = _RECORD_CANCELED.format(locked="")

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
         WHERE r.run_id = own.run_id AND (r.status = 'running') IS TRUE
        RETURNING r.run_id, r.status
    ), noted AS (
        UPDATE runs r
           SET exit_code = own.code
          FROM own
         WHERE r.run_id = own.run_id AND (r.status IN ('canceling', 'canceled')) IS TRUE
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
# For one: whoever has it locked decides first.
COMPLETE_WAITING: Final = _COMPLETE.format(locked="")

FIND_ENDING_CANCELLATIONS: Final = f"""
    SELECT r.run_id, requested_by, via, reason, outcome, evidence ->> 'ended' AS ended,
           evidence ->> 'proof' AS proof, evidence #>> '{{signals,0,signal}}' AS signal,
           (evidence ->> 'duration_ms')::float8 AS duration_ms
      FROM unnest($1::bigint[]) AS r (run_id), LATERAL {ENDS_RUN} AS c
"""  # noqa: S608 - put together from constants
