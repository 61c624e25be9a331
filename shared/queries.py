"""All SQL of the way of a command, by name. Each arrow in `shared.states` is a guarded statement.

A guard is the `WHERE … status …` of an UPDATE: when no row comes back, another transition was first
and nothing was changed.
"""

from typing import Final

ADD_RUN: Final = """
    INSERT INTO runs (run_id, grace_seconds, stop_signal) VALUES ($1, $2, $3)
    ON CONFLICT (run_id) DO NOTHING
    RETURNING run_id
"""

FIND_RUN: Final = "SELECT * FROM runs WHERE run_id = $1"

LIST_RUNS: Final = """
    SELECT * FROM runs
     WHERE $1::text IS NULL OR status = $1
     ORDER BY run_id DESC
     LIMIT $2
"""

LIST_CANCELLATIONS: Final = """
    SELECT * FROM cancellations WHERE run_id = $1 ORDER BY received_at, command_id
"""

# The run is locked, so that deciding and writing are one step; the command's own row, if there is
# one, tells a repeat from a first delivery.
LOCK_RUN: Final = """
    SELECT r.*,
           extract(epoch FROM r.stop_deadline - clock_timestamp())::float8 AS grace_left,
           h.abandoned_at IS NOT NULL AS host_abandoned,
           c.run_id AS command_run_id,
           c.outcome AS command_outcome
      FROM runs r
      LEFT JOIN hosts h ON h.host = r.host
      LEFT JOIN cancellations c ON c.command_id = $2
     WHERE r.run_id = $1
       FOR UPDATE OF r
"""

CANCEL_QUEUED: Final = """
    UPDATE runs
       SET status = 'canceled', finished_at = clock_timestamp()
     WHERE run_id = $1 AND status = 'queued'
    RETURNING run_id
"""

BEGIN_STOP: Final = """
    UPDATE runs
       SET status = 'canceling',
           canceling_at = clock_timestamp(),
           stop_deadline = clock_timestamp() + make_interval(secs => $2)
     WHERE run_id = $1 AND status = 'running'
    RETURNING run_id
"""

ESCALATE_STOP: Final = """
    UPDATE runs
       SET stop_deadline = least(stop_deadline, clock_timestamp())
     WHERE run_id = $1 AND status = 'canceling'
"""

RECORD_CANCELED: Final = """
    UPDATE runs
       SET status = 'canceled', finished_at = clock_timestamp()
     WHERE run_id = $1 AND status = 'canceling'
    RETURNING run_id
"""

# What the first of several failed stops left as evidence is kept under `earlier`.
# A command's row is written with its result or, for a stop, with none yet. Only an open or a
# failed one may change: a repeat of a finished command leaves it as it is.
RECORD_COMMAND: Final = """
    INSERT INTO cancellations AS c
           (command_id, run_id, via, publisher, requested_by, reason, force, grace_seconds,
            requested_at, outcome, finished_at, evidence, faults)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
            CASE WHEN $10::text IS NOT NULL THEN clock_timestamp() END, $11::jsonb, $12::jsonb)
    ON CONFLICT (command_id) DO UPDATE
       SET outcome = excluded.outcome,
           finished_at = excluded.finished_at,
           evidence = CASE WHEN excluded.outcome IS NULL THEN c.evidence
               ELSE excluded.evidence || CASE c.evidence WHEN '{}' THEN '{}'
               ELSE jsonb_build_object('earlier', coalesce(c.evidence -> 'earlier', c.evidence)) END
           END
     WHERE c.run_id = excluded.run_id AND (c.outcome IS NULL OR c.outcome = 'stop_failed')
    RETURNING c.command_id
"""

# One stop answers every command on the run that is still open, not just the one that began it.
CLOSE_COMMANDS: Final = """
    UPDATE cancellations
       SET outcome = $2, finished_at = clock_timestamp(),
           evidence = $3::jsonb || CASE evidence WHEN '{}' THEN '{}'
               ELSE jsonb_build_object('earlier', coalesce(evidence -> 'earlier', evidence)) END
     WHERE run_id = $1 AND (outcome IS NULL OR outcome = 'stop_failed')
"""

CLAIM_RUN: Final = """
    UPDATE runs
       SET status = 'running', started_at = clock_timestamp(), host = $2, boot_id = $3, pid = $4,
           start_ticks = $5, launcher_pid = $6, launcher_start_ticks = $7, uid = $8,
           launch_id = $9, containment = $10, cgroup = $11
     WHERE run_id = $1 AND status = 'queued'
    RETURNING launch_id
"""

# Also true between two workers, when the one that was stopping the run is gone. Not after a stop
# that failed: only a new command takes that up again.
IS_BEING_STOPPED: Final = """
    SELECT EXISTS (
        SELECT FROM runs JOIN cancellations c USING (run_id)
         WHERE run_id = $1 AND status = 'canceling' AND c.outcome IS NULL
    )
"""

# Waits for whoever has the run in hand: a claim whose commit is in doubt may yet come through.
LOCK_LAUNCH: Final = "SELECT FROM runs WHERE run_id = $1 FOR UPDATE"

RECORD_LAUNCHER_DIED: Final = """
    UPDATE runs
       SET status = 'error', finished_at = clock_timestamp(),
           error = 'the launcher died without reporting an exit code',
           loss = jsonb_build_object('cause', 'launcher_died', 'noticed_at', clock_timestamp())
     WHERE run_id = $1 AND launch_id = $2 AND status = 'running'
    RETURNING run_id
"""

# Whether it is lost, whoever recorded that: the answer to the first attempt may have been.
IS_UNPROVED: Final = """
    SELECT EXISTS (
        SELECT FROM runs
         WHERE run_id = $1 AND launch_id = $2 AND status = 'error' AND loss ->> 'proof' IS NULL
    )
"""

# What a look for the processes of a lost run came to. The latest one counts, up to a proof.
RECORD_LEFTOVERS: Final = """
    UPDATE runs SET loss = coalesce(loss, '{"cause": "launcher_died"}') || $2::jsonb
     WHERE run_id = $1 AND status = 'error' AND loss ->> 'proof' IS NULL
    RETURNING run_id
"""

LIST_RUNNING_ON_HOST: Final = """
    SELECT * FROM runs WHERE host = $1 AND status = 'running'
"""

LIST_UNPROVED_ON_HOST: Final = """
    SELECT * FROM runs
     WHERE host = $1 AND boot_id = $2 AND status = 'error' AND loss ->> 'proof' IS NULL
"""
