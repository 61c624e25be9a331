"""All SQL that removes what is old, by name. Functions decide what may go (migration 0020)."""

from typing import Final

LIMIT: Final = "SELECT clock_timestamp() - $1::interval AS before"

# What a crash of Postgres undoes of a prune is pruned again. So no commit waits for the disk, or
# makes others wait for it.
WITHOUT_WAITING_FOR_THE_DISK: Final = "SELECT set_config('synchronous_commit', 'off', true)"

# $1 who, $2 the rest. The functions add up in this row what they have pruned.
BEGIN_PRUNE: Final = """
    INSERT INTO audit (done_by, action, object, detail)
    VALUES ($1, 'pruned', 'records', $2::jsonb)
    RETURNING audit_id
"""

# $1 the row of `audit`, $2 the limit, $3 and $4 the last row that was looked at, $5 how many to
# look at, $6 whether waiting letters go too, $7 whether to return what is pruned.
PRUNE_RUNS: Final = "SELECT * FROM prune_runs($1, $2, $3, $4, $5, $6, $7)"
PRUNE_LETTERS: Final = "SELECT * FROM prune_letters($1, $2, $3, $4, $5, $6, $7)"
PRUNE_HISTORY: Final = "SELECT * FROM prune_history($1, $2, $3, $4)"
EXPIRE_UNSTARTED: Final = "SELECT * FROM expire_unstarted($1, $2, $3, $4)"

# How much would go, without locks.
COUNT_RUNS: Final = """
    SELECT found.looked_at, found.after_at, found.after_id, cardinality(run_ids) AS runs,
           (SELECT count(*) FROM cancellations WHERE run_id = ANY (run_ids)) AS cancellations,
           (SELECT count(*) FROM runs, jsonb_object_keys(labels)
             WHERE run_id = ANY (run_ids)) AS run_labels
      FROM prunable_runs($1, $2, $3, $4, $5, false) found
"""
COUNT_LETTERS: Final = """
    SELECT found.looked_at, found.after_at, found.after_id,
           cardinality(letter_ids) AS dead_letters,
           (SELECT count(*) FROM dead_letter_actions
             WHERE letter_id = ANY (letter_ids)) AS dead_letter_actions
      FROM prunable_letters($1, $2, $3, $4, $5, false) found
"""
COUNT_HISTORY: Final = """
    SELECT (SELECT count(*) FROM host_actions WHERE done_at < $1) AS host_actions,
           (SELECT count(*) FROM audit WHERE done_at < $1) AS audit
"""
COUNT_UNSTARTED: Final = """
    SELECT count(*) AS expired FROM runs
     WHERE status = 'queued' AND created_at < $1 AND start_before IS NULL
"""

# For a progress bar: at most $2 of each.
COUNT_TO_LOOK_AT: Final = """
    SELECT (SELECT count(*) FROM (SELECT FROM runs
                                   WHERE finished_at IS NOT NULL
                                     AND finished_at < statement_timestamp() - $1::interval
                                   LIMIT $2) r)
         + (SELECT count(*) FROM (SELECT FROM dead_letters
                                   WHERE arrived_at < statement_timestamp() - $1::interval
                                   LIMIT $2) l) AS total
"""

FORGET_HOST: Final = "SELECT refused FROM forget_host($1, $2)"

# Not up, and not heard of since $1.
LIST_OLD_HOSTS: Final = """
    SELECT host FROM hosts
     WHERE greatest(seen_at, left_at, abandoned_at) < clock_timestamp() - $1::interval
     ORDER BY host
"""

# One worker of all does a job when it is due. $1: the turn; $2: for how long no other one begins
# it; $3: now, or null for the time of Postgres.
TAKE_DUE: Final = """
    UPDATE turns SET due_at = coalesce($3::timestamptz, clock_timestamp()) + $2::interval
     WHERE name = $1 AND due_at <= coalesce($3::timestamptz, clock_timestamp())
    RETURNING due_at - $2::interval AS began
"""
# And when it is done, or goes on.
SET_DUE: Final = "UPDATE turns SET due_at = $2 WHERE name = $1"
