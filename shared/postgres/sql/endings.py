"""All SQL that ends many runs at once.

Each statement locks its runs first and skips those that another transaction has locked, so that no
run waits for another one, and there are no deadlocks.

`IS TRUE` keeps a condition on the status from using an index. Runs must be looked up by id: an
index by status still has all entries since the last vacuum, and a plan that was made for few of
them is kept when there are many.
"""

from typing import Final

from shared.postgres.sql.runs import ENDS_RUN

# For runs that are proved gone. Their open commands get the outcome.
_RECORD_CANCELED: Final = """
    WITH stopped AS (
        SELECT * FROM unnest($1::bigint[], $2::jsonb[], $3::uuid[])
            AS s (run_id, evidence, launch_id)
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
           -- After a failover, it may have been claimed once more. Null: of whichever launch.
           AND r.launch_id = coalesce(stopped.launch_id, r.launch_id)
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
# For one: the transaction that has locked it is first.
RECORD_CANCELED_WAITING: Final = _RECORD_CANCELED.format(locked="")

_COMPLETE: Final = """
    WITH ended AS (
        SELECT *
          FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::integer[], $7::jsonb[])
            AS e (run_id, launcher_pid, launcher_start_ticks, code, left_behind)
    ), own AS (
        SELECT r.run_id, r.status, r.cgroup, r.launch_id, ended.code,
               coalesce(r.left_behind || ended.left_behind, ended.left_behind, r.left_behind)
                   AS left_behind
          FROM runs r JOIN ended USING (run_id, launcher_pid, launcher_start_ticks)
         WHERE r.boot_id = $5 AND coalesce(r.pid_namespace, $6) = $6
           FOR UPDATE OF r {locked}
    ), completed AS (
        UPDATE runs r
           SET status = CASE WHEN own.code = 0 THEN 'pass' ELSE 'fail' END,
               exit_code = own.code, finished_at = clock_timestamp(),
               left_behind = own.left_behind
          FROM own
         WHERE r.run_id = own.run_id AND (r.status = 'running') IS TRUE
        RETURNING r.run_id, r.status, r.finished_at
    ), noted AS (
        UPDATE runs r
           SET exit_code = own.code
          FROM own
         WHERE r.run_id = own.run_id AND (r.status IN ('canceling', 'canceled')) IS TRUE
           AND r.exit_code IS NULL
        RETURNING r.run_id
    )
    SELECT own.run_id, coalesce(completed.status, own.status) AS status, cgroup, launch_id,
           own.left_behind, completed.finished_at,
           completed.run_id IS NOT NULL OR noted.run_id IS NOT NULL AS is_news
      FROM own
      LEFT JOIN completed ON completed.run_id = own.run_id
      LEFT JOIN noted ON noted.run_id = own.run_id
"""

# The exit code of a run that is being stopped is recorded; only the stop sets its status. $7: what
# became of the processes that the command left behind; null if there were none.
COMPLETE: Final = _COMPLETE.format(locked="SKIP LOCKED")
# For one: the transaction that has locked it decides first.
COMPLETE_WAITING: Final = _COMPLETE.format(locked="")

# The runs of these launchers: $1 to $3 as above, on boot $4 in pid namespace $5. LATERAL and LIMIT
# make it an index lookup for each.
FIND_OWN: Final = """
    SELECT r.*
      FROM unnest($1::bigint[], $2::integer[], $3::bigint[])
        AS asked (run_id, launcher_pid, launcher_start_ticks),
           LATERAL (SELECT * FROM runs WHERE run_id = asked.run_id LIMIT 1) r
     WHERE r.launcher_pid = asked.launcher_pid
       AND r.launcher_start_ticks = asked.launcher_start_ticks
       AND r.boot_id = $4 AND coalesce(r.pid_namespace, $5) = $5
"""

FIND_ENDING_CANCELLATIONS: Final = f"""
    SELECT r.run_id, requested_by, via, reason, outcome, evidence ->> 'ended' AS ended,
           evidence ->> 'proof' AS proof, evidence #>> '{{signals,0,signal}}' AS signal,
           (evidence ->> 'duration_ms')::float8 AS duration_ms
      FROM unnest($1::bigint[]) AS r (run_id), LATERAL {ENDS_RUN} AS c
"""  # noqa: S608 - put together from constants
