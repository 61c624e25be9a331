"""All SQL for runs and commands, by name. Each arrow in `shared.states` is a guarded statement.

A guard is the `WHERE … status …` of an UPDATE: if no row is returned, another transition was first
and nothing was changed.
"""

from typing import Final

from shared.postgres.sql.hosts import LEFT_BEHIND, LOST, OPEN_RUNS_OF_HOST, STATE

IS_READ_ONLY: Final = "SELECT current_setting('transaction_read_only')::bool AS read_only"


FIND_RUN: Final = "SELECT * FROM runs WHERE run_id = $1"

_LIST_RUNS: Final = f"""
    SELECT r.*, {STATE} AS host_state,
           EXISTS (SELECT FROM cancellations c
                    WHERE c.run_id = r.run_id AND c.outcome IS NULL) AS has_open_command
      FROM {{source}} LEFT JOIN hosts h ON h.host = r.host
     WHERE ($1::text IS NULL OR r.status = $1)
       AND ($2::text IS NULL OR r.host = $2)
       AND {{older}}
     ORDER BY {{order}}
     LIMIT $4
"""  # noqa: S608 - put together from constants
_IF_OLDER: Final = "($3::interval IS NULL OR r.created_at < statement_timestamp() - $3)"
_BY_ID: Final = "r.run_id DESC"
LIST_RUNS: Final = _LIST_RUNS.format(source="runs r", older=_IF_OLDER, order=_BY_ID)
# From the newest of those that are old enough on: by id, all newer ones would come first.
LIST_OLD_RUNS: Final = _LIST_RUNS.format(
    source="runs r",
    older="r.created_at < statement_timestamp() - $3::interval",
    order="r.created_at DESC, r.run_id DESC",
)
# Those that have all labels in $5, which are distinct. The runs of the rarest of these are gone
# through, from the newest on: there may be a hundred thousand with one of them.
LIST_LABELED_RUNS: Final = _LIST_RUNS.format(
    source="""(
          SELECT l.run_id FROM run_labels l
           WHERE l.label = (
                     SELECT asked FROM unnest($5::text[]) asked
                      ORDER BY (SELECT count(*)
                                  FROM (SELECT FROM run_labels c WHERE c.label = asked
                                         LIMIT 10000) counted)
                      LIMIT 1)
             AND NOT EXISTS (
                     SELECT FROM unnest($5::text[]) asked
                      WHERE NOT EXISTS (SELECT FROM run_labels o
                                         WHERE o.label = asked AND o.run_id = l.run_id))
      ) labeled JOIN runs r USING (run_id)""",
    older=_IF_OLDER,
    order=_BY_ID,
)

# Open commands on runs of host $1, one per run: its outcome is that of the others, too. Runs in $2
# are excluded, because they are in hand; on runs in $4 only forced commands count, and with $5 only
# these are returned.
LIST_OPEN: Final = f"""
    SELECT c.*
      FROM ({OPEN_RUNS_OF_HOST}) open,
           LATERAL (SELECT command_id, run_id, via, publisher, requested_by, reason, force,
                           grace_seconds, requested_at, faults, taken_up, message_header
                      FROM cancellations
                     WHERE run_id = open.run_id AND outcome IS NULL
                     ORDER BY force DESC, received_at, command_id
                     LIMIT 1) c
     WHERE open.run_id NOT IN (SELECT unnest((SELECT $2::bigint[])))
       AND (c.force OR open.run_id NOT IN (SELECT unnest((SELECT $4::bigint[]))))
       AND (NOT $5 OR open.run_id IN (SELECT unnest((SELECT $4::bigint[]))))
     ORDER BY open.received_at
     LIMIT $3
"""  # noqa: S608 - put together from constants

IS_OPEN: Final = """
    SELECT EXISTS (SELECT FROM cancellations WHERE command_id = $1 AND outcome IS NULL)
"""

# For runs that are over and have nothing left to stop.
CLOSE_OVER: Final = """
    UPDATE cancellations c
       SET outcome = 'no_op', finished_at = clock_timestamp(),
           evidence = c.evidence || jsonb_build_object('run_status', r.status)
      FROM runs r
     WHERE r.run_id = ANY ($1::bigint[]) AND c.run_id = r.run_id AND c.outcome IS NULL
       AND (r.status = 'canceled'
            OR (r.status = 'error' AND r.loss ->> 'proof' IS NOT NULL)
            OR (r.status IN ('pass', 'fail')
                AND (r.left_behind IS NULL OR r.left_behind ->> 'proof' IS NOT NULL)))
"""

# Stops that a worker hands on when it is stopped in order do not count as taken up.
HAND_ON: Final = """
    WITH held AS (
        SELECT run_id FROM runs WHERE run_id = ANY ($1::bigint[]) ORDER BY run_id
           FOR UPDATE SKIP LOCKED
    )
    UPDATE cancellations c SET taken_up = taken_up - 1
      FROM held
     WHERE c.run_id = held.run_id AND c.command_id = ANY ($2::uuid[])
       AND c.outcome IS NULL AND c.taken_up > 0
"""

# What became of commands; the run's status and host tell what those wait for that are open.
LIST_RESULTS: Final = """
    SELECT a.command_id, c.outcome, c.evidence, l.letter_id, l.reason, l.error, r.status, r.host
      FROM unnest($1::uuid[], $2::bigint[]) AS a (command_id, run_id)
      LEFT JOIN runs r ON r.run_id = a.run_id
      LEFT JOIN cancellations c ON c.command_id = a.command_id
      LEFT JOIN LATERAL (
          SELECT letter_id, reason, error
            FROM dead_letters d
           WHERE d.state = 'waiting' AND d.command_id = a.command_id
           ORDER BY letter_id DESC
           LIMIT 1
      ) l ON true
"""

# The first $2 of a run, null for all; without the messages of open commands, which are for their
# dead letters.
LIST_CANCELLATIONS: Final = """
    SELECT command_id, run_id, via, publisher, requested_by, reason, force, grace_seconds,
           requested_at, received_at, outcome, finished_at, evidence, faults, taken_up
      FROM cancellations WHERE run_id = $1 ORDER BY received_at, command_id LIMIT $2
"""

# The command that ended the run `r` or will end it. A later repeat that changed nothing would hide
# who asked, why, and the proof. By kind, in this order, and within a kind the first one:
#   canceled            the end of the run is proved
#   leftovers_stopped   the run was over before; this command proved that nothing is left
#   open                in progress, and so more relevant than an earlier failure
#   stop_failed         continues when it is replayed
#   any other           closed without a proof: abandoned, not_proved
#   no_op, forced       never: repeats, and commands that ended a grace period
ENDS_RUN: Final = """(
    SELECT * FROM cancellations
     WHERE run_id = r.run_id AND (outcome IS NULL OR outcome NOT IN ('no_op', 'forced'))
     ORDER BY array_position(ARRAY['canceled', 'leftovers_stopped', 'open', 'stop_failed'],
                             coalesce(outcome, 'open')),
              received_at, command_id
     LIMIT 1
)"""

# One stop closes all open commands on the run, not only the one that began it.
CLOSE_COMMANDS: Final = """
    UPDATE cancellations
       SET outcome = $2, finished_at = clock_timestamp(),
           evidence = keeping_earlier($3::jsonb, evidence)
     WHERE run_id = $1 AND (outcome IS NULL OR outcome = 'stop_failed')
"""

CLAIM_RUN: Final = """
    UPDATE runs
       SET status = 'running', started_at = clock_timestamp(), host = $2, boot_id = $3, pid = $4,
           start_ticks = $5, launcher_pid = $6, launcher_start_ticks = $7, uid = $8,
           launch_id = $9, containment = $10, cgroup = $11, pid_namespace = $12,
           cgroup_inode = $13
     WHERE run_id = $1 AND status = 'queued'
       AND (start_before <= clock_timestamp()) IS NOT TRUE
    RETURNING launch_id
"""

# Also true between two workers, when the one that was stopping the run is gone. Not after a failed
# stop: only a new command takes that up again.
IS_BEING_STOPPED: Final = """
    SELECT EXISTS (
        SELECT FROM runs JOIN cancellations c USING (run_id)
         WHERE run_id = $1 AND status = 'canceling' AND c.outcome IS NULL
    )
"""

# Waits for other transactions on the run: a claim with an unknown result may still be committed.
LOCK_RUN: Final = "SELECT FROM runs WHERE run_id = $1 FOR UPDATE"

# $3: what was found of it and runs on.
RECORD_LAUNCHER_DIED: Final = """
    UPDATE runs
       SET status = 'error', finished_at = clock_timestamp(),
           error = 'the launcher died without reporting an exit code',
           loss = $3::jsonb
               || jsonb_build_object('cause', 'launcher_died', 'noticed_at', clock_timestamp())
     WHERE run_id = $1 AND launch_id = $2 AND status = 'running'
    RETURNING run_id
"""

# The run, if it is lost. An earlier attempt of ours, whose response was lost, may have recorded it.
FIND_UNPROVED: Final = f"""
    SELECT * FROM runs WHERE run_id = $1 AND launch_id = $2 AND {LOST}
"""  # noqa: S608 - put together from constants

# The result of a search for the processes of a run that is over. The latest one counts, until a
# proof.
RECORD_LEFTOVERS: Final = f"""
    UPDATE runs
       SET loss = CASE WHEN status = 'error'
               THEN coalesce(loss, '{{"cause": "launcher_died"}}') || $2::jsonb ELSE loss END,
           left_behind = CASE WHEN status = 'error'
               THEN left_behind ELSE left_behind || $2::jsonb END
     WHERE run_id = $1 AND (({LOST}) OR ({LEFT_BEHIND}))
    RETURNING run_id
"""  # noqa: S608 - put together from constants

# What the command of a running run has left behind ($3) is about to be stopped, within a grace
# period of $4 seconds from the first time that this is recorded.
NOTE_LEFT_BEHIND: Final = """
    UPDATE runs
       SET left_behind = coalesce(left_behind, $3::jsonb || jsonb_build_object(
               'noticed_at', clock_timestamp(),
               'deadline', clock_timestamp() + make_interval(secs => $4)))
     WHERE run_id = $1 AND launch_id = $2 AND status = 'running'
    RETURNING extract(epoch FROM (left_behind ->> 'deadline')::timestamptz
                                 - clock_timestamp())::float8 AS grace_left
"""

# A cancel is about to stop what was left behind, within a grace period of $2 seconds.
BEGIN_STOP_OF_LEFT_BEHIND: Final = f"""
    UPDATE runs
       SET left_behind = left_behind || jsonb_build_object(
               'deadline', clock_timestamp() + make_interval(secs => $2))
     WHERE run_id = $1 AND {LEFT_BEHIND}
"""  # noqa: S608 - put together from constants

# For a run in another pid namespace, whose processes cannot be seen from here.
LOSE_RUN_OUT_OF_SIGHT: Final = """
    UPDATE runs
       SET status = 'error', finished_at = clock_timestamp(),
           error = 'its worker''s container was replaced, so its end cannot be proved',
           loss = jsonb_build_object(
               'cause', 'container_lost', 'proof', 'none_container_lost',
               'noticed_at', clock_timestamp(), 'was', status, 'seen_from', $2::text)
     WHERE run_id = $1 AND status IN ('running', 'canceling')
    RETURNING run_id
"""

# Those that are lost, too, if what they left runs on.
LIST_LEFT_BEHIND_ON_HOST: Final = f"""
    SELECT * FROM runs WHERE host = $1 AND {LEFT_BEHIND}
     UNION ALL
    SELECT * FROM runs WHERE host = $1 AND {LOST} AND (loss ->> 'kept')::boolean IS TRUE
"""  # noqa: S608 - put together from constants

LIST_LIVE_ON_HOST: Final = """
    SELECT * FROM runs WHERE host = $1 AND status IN ('running', 'canceling')
"""

RECORD_UNREPORTED: Final = """
    UPDATE runs SET unreported_since = clock_timestamp()
     WHERE run_id = $1 AND launch_id = $2 AND status = 'running' AND unreported_since IS NULL
       AND left_behind IS NULL  -- with that, its launcher has reported
    RETURNING run_id
"""

IS_LAUNCH: Final = "SELECT EXISTS (SELECT FROM runs WHERE launch_id = $1)"

LIST_OPEN_OF_OTHER_NAMESPACES: Final = f"""
    SELECT * FROM runs
     WHERE host = $1 AND boot_id = $2 AND pid_namespace IS DISTINCT FROM $3
       AND (status IN ('running', 'canceling') OR ({LOST}) OR ({LEFT_BEHIND}))
       FOR UPDATE
"""  # noqa: S608 - put together from constants

# Of this boot; and of earlier ones, those with containers, which the engine may have started again.
LIST_UNPROVED_ON_HOST: Final = f"""
    SELECT * FROM runs
     WHERE host = $1 AND (boot_id = $2 OR containers_in IS NOT NULL) AND {LOST}
       AND (loss ->> 'kept')::boolean IS NOT TRUE
"""  # noqa: S608 - put together from constants
