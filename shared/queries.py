"""All SQL of the way of a command, by name. Each arrow in `shared.states` is a guarded statement.

A guard is the `WHERE … status …` of an UPDATE: when no row comes back, another transition was first
and nothing was changed.
"""

from typing import Final

from shared.host_queries import OPEN_RUNS_OF_HOST, STATE

IS_READ_ONLY: Final = "SELECT current_setting('transaction_read_only')::bool AS read_only"

ADD_RUN: Final = """
    INSERT INTO runs (run_id, grace_seconds, stop_signal) VALUES ($1, $2, $3)
    ON CONFLICT (run_id) DO NOTHING
    RETURNING run_id
"""

FIND_RUN: Final = "SELECT * FROM runs WHERE run_id = $1"

LIST_RUNS: Final = f"""
    SELECT r.*, {STATE} AS host_state,
           EXISTS (SELECT FROM cancellations c
                    WHERE c.run_id = r.run_id AND c.outcome IS NULL) AS has_open_command
      FROM runs r LEFT JOIN hosts h ON h.host = r.host
     WHERE $1::text IS NULL OR status = $1
     ORDER BY run_id DESC
     LIMIT $2
"""  # noqa: S608 - put together from constants

LIST_OPEN_RUNS_OF_HOST: Final = f"""
    SELECT run_id FROM ({OPEN_RUNS_OF_HOST}) open ORDER BY received_at LIMIT $2
"""  # noqa: S608 - put together from constants

# Of runs that are over, and of which nothing is left to be stopped.
CLOSE_OVER: Final = """
    UPDATE cancellations c
       SET outcome = 'no_op', finished_at = clock_timestamp(),
           evidence = c.evidence || jsonb_build_object('run_status', r.status)
      FROM runs r
     WHERE r.run_id = ANY ($1::bigint[]) AND c.run_id = r.run_id AND c.outcome IS NULL
       AND (r.status IN ('pass', 'fail', 'canceled')
            OR (r.status = 'error' AND r.loss ->> 'proof' IS NOT NULL))
"""

# Before a worker takes the command up: how many, one after the other, ended over it.
COUNT_TAKEN_UP: Final = """
    UPDATE cancellations SET taken_up = taken_up + 1
     WHERE command_id = $1 AND outcome IS NULL
    RETURNING taken_up
"""

FIND_OLDEST_OPEN: Final = """
    SELECT * FROM cancellations
     WHERE run_id = $1 AND outcome IS NULL
     ORDER BY received_at, command_id
     LIMIT 1
"""

LIST_CANCELLATIONS: Final = """
    SELECT * FROM cancellations WHERE run_id = $1 ORDER BY received_at, command_id
"""

# Of the commands of the run `r` the one that ended it or is to end it: what came later and changed
# nothing would hide who asked, why, and the proof. The first of these kinds, and of a kind the
# first:
#   canceled            the run's end is proved; where one stop answered several, it was asked first
#   leftovers_stopped   the run was lost before; this proved that nothing of it is left
#   open                is being carried out, and so says more than a failure before it
#   stop_failed         goes on when it is replayed
#   any other           closed without an end that anybody could prove: abandoned, not_proved
#   no_op, forced       never: repeats, and those that hurried a stop in progress
ENDS_RUN: Final = """(
    SELECT * FROM cancellations
     WHERE run_id = r.run_id AND (outcome IS NULL OR outcome NOT IN ('no_op', 'forced'))
     ORDER BY array_position(ARRAY['canceled', 'leftovers_stopped', 'open', 'stop_failed'],
                             coalesce(outcome, 'open')),
              received_at, command_id
     LIMIT 1
)"""

# The run is locked, so that deciding and writing are one step; the command's own row, if there is
# one, tells a repeat from a first delivery.
LOCK_RUN: Final = """
    SELECT r.*,
           extract(epoch FROM r.stop_deadline - clock_timestamp())::float8 AS grace_left,
           h.abandoned_at IS NOT NULL AS host_abandoned,
           c.run_id AS command_run_id,
           c.outcome AS command_outcome,
           EXISTS (SELECT FROM cancellations o
                    WHERE o.run_id = r.run_id AND o.outcome IS NULL AND o.command_id <> $2
                      AND (o.force OR NOT $3)) AS is_asked_for
      FROM runs r
      LEFT JOIN hosts h ON h.host = r.host
      LEFT JOIN cancellations c ON c.command_id = $2
     WHERE r.run_id = $1
       FOR UPDATE OF r
"""

CANCEL_QUEUED: Final = """
    UPDATE runs
       SET status = 'canceled', finished_at = clock_timestamp(), proof = 'never_started'
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

# Only earlier: force after force, or after the deadline, changes nothing. Not clock_timestamp(), by
# which what was a later deadline when it was compared could be an earlier one when it is set.
ESCALATE_STOP: Final = """
    UPDATE runs
       SET stop_deadline = statement_timestamp(),
           first_stop_deadline = coalesce(first_stop_deadline, stop_deadline)
     WHERE run_id = $1 AND status = 'canceling' AND stop_deadline > statement_timestamp()
    RETURNING run_id
"""

RECORD_CANCELED: Final = """
    UPDATE runs
       SET status = 'canceled', finished_at = clock_timestamp(), proof = $2
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
           launch_id = $9, containment = $10, cgroup = $11, pid_namespace = $12,
           cgroup_inode = $13
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

# Of a run in another pid namespace, whose processes nobody can see from here.
LOSE_RUN_OUT_OF_SIGHT: Final = """
    UPDATE runs
       SET status = 'error', finished_at = clock_timestamp(),
           error = 'its worker''s container was replaced: nobody can see what became of it',
           loss = jsonb_build_object(
               'cause', 'container_lost', 'proof', 'none_container_lost',
               'noticed_at', clock_timestamp(), 'was', status, 'seen_from', $2::text)
     WHERE run_id = $1 AND status IN ('running', 'canceling')
    RETURNING run_id
"""

# One that was lost before, and of which nobody will find out any more whether something is left.
CLOSE_LOSS_OUT_OF_SIGHT: Final = """
    UPDATE runs
       SET loss = coalesce(loss, '{"cause": "launcher_died"}') || jsonb_build_object(
               'proof', 'none_container_lost', 'seen_from', $2::text)
     WHERE run_id = $1 AND status = 'error' AND loss ->> 'proof' IS NULL
    RETURNING run_id
"""

LIST_LIVE_ON_HOST: Final = """
    SELECT * FROM runs WHERE host = $1 AND status IN ('running', 'canceling')
"""

RECORD_UNREPORTED: Final = """
    UPDATE runs SET unreported_since = clock_timestamp()
     WHERE run_id = $1 AND launch_id = $2 AND status = 'running' AND unreported_since IS NULL
    RETURNING run_id
"""

IS_LAUNCH: Final = "SELECT EXISTS (SELECT FROM runs WHERE launch_id = $1)"

LIST_OPEN_OF_OTHER_NAMESPACES: Final = """
    SELECT * FROM runs
     WHERE host = $1 AND boot_id = $2 AND pid_namespace IS DISTINCT FROM $3
       AND (status IN ('running', 'canceling')
            OR (status = 'error' AND loss ->> 'proof' IS NULL))
       FOR UPDATE
"""

LIST_UNPROVED_ON_HOST: Final = """
    SELECT * FROM runs
     WHERE host = $1 AND boot_id = $2 AND status = 'error' AND loss ->> 'proof' IS NULL
"""
