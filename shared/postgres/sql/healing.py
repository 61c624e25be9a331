"""All SQL that finds what a failover of Postgres has undone, and records it again."""

from typing import Final

# A server that was started again, or another one, has another time.
SERVER: Final = "SELECT pg_postmaster_start_time() AS started_at"

# When the database was made, which a backup of it has, too, and no other one; and whether it knows
# host $1.
INSTALLATION: Final = """
    SELECT (SELECT min(applied_at) FROM schema_migrations) AS installation,
           EXISTS (SELECT FROM hosts WHERE host = $1) AS knows_host
"""

# Which of these are on record.
KNOWN_COMMANDS: Final = """
    SELECT command_id FROM cancellations WHERE command_id = ANY ($1::uuid[])
"""
KNOWN_LETTERS: Final = "SELECT letter_key FROM dead_letters WHERE letter_key = ANY ($1::text[])"

FIND_RUNS: Final = """
    SELECT run_id, status, launch_id, boot_id, pid, start_ticks, exit_code, containers_in
      FROM runs
     WHERE run_id = ANY ($1::bigint[])
"""

# As it was claimed at $14, whatever the time is now.
CLAIM_AGAIN: Final = """
    UPDATE runs
       SET status = 'running', host = $2, boot_id = $3, pid = $4,
           start_ticks = $5, launcher_pid = $6, launcher_start_ticks = $7, uid = $8,
           launch_id = $9, containment = $10, cgroup = $11, pid_namespace = $12,
           cgroup_inode = $13, started_at = $14
     WHERE run_id = $1 AND status = 'queued'
    RETURNING run_id
"""

# As it ended at $6.
COMPLETE_AGAIN: Final = """
    UPDATE runs
       SET status = $3, exit_code = $4, left_behind = coalesce($5::jsonb, left_behind),
           finished_at = $6
     WHERE run_id = $1 AND launch_id = $2 AND status = 'running'
    RETURNING run_id
"""

# The exit code of a run that was being stopped.
NOTE_EXIT_CODE_AGAIN: Final = """
    UPDATE runs SET exit_code = $3
     WHERE run_id = $1 AND launch_id = $2 AND status IN ('canceling', 'canceled')
       AND exit_code IS NULL
    RETURNING run_id
"""

# A run that was canceled while its claim was undone, and whose processes were then stopped: it did
# start, at $14. $15 is the evidence; that of the cancel is kept in it.
RECORD_STOPPED_LATE: Final = """
    WITH corrected AS (
        UPDATE runs
           SET host = $2, boot_id = $3, pid = $4, start_ticks = $5, launcher_pid = $6,
               launcher_start_ticks = $7, uid = $8, launch_id = $9, containment = $10,
               cgroup = $11, pid_namespace = $12, cgroup_inode = $13, started_at = $14,
               canceling_at = finished_at, stop_deadline = finished_at,
               finished_at = clock_timestamp(),
               proof = $15::jsonb ->> 'proof'
         WHERE run_id = $1 AND status = 'canceled' AND host IS NULL AND NOT expired
        RETURNING run_id
    ), noted AS (
        UPDATE cancellations c
           SET evidence = keeping_earlier($15::jsonb, c.evidence)
          FROM corrected
         WHERE c.run_id = corrected.run_id AND c.outcome = 'canceled'
    )
    SELECT run_id FROM corrected
"""

# The numbers of events up to $1 have been published: those that a standby did not know of would be
# given to other events once more. At most a million are passed over.
PASS_EVENT_NUMBERS: Final = """
    SELECT count(nextval('outbox_event_id_seq')) AS passed
      FROM outbox_event_id_seq, generate_series(last_value + 1, least($1, last_value + 1000000))
"""
