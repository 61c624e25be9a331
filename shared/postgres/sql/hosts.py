"""All SQL about runner hosts, by name. Postgres' clock is the only one that counts."""

from typing import Final

SILENT_AFTER: Final = 3
"""The number of heartbeats that a worker may miss."""

STATE: Final = f"""
    CASE WHEN abandoned_at IS NOT NULL THEN 'abandoned'
         WHEN left_at IS NOT NULL THEN 'left'
         WHEN worker_id IS NOT NULL
              AND seen_at > clock_timestamp() - make_interval(secs => {SILENT_AFTER} * beat_seconds)
         THEN 'up'
         ELSE 'silent' END
"""

SINCE: Final = "coalesce(abandoned_at, left_at, seen_at)"
"""Since when a host is not up; if it is up, the time of its last heartbeat."""

LOST: Final = "status = 'error' AND loss ->> 'proof' IS NULL"
"""A lost run that may have processes left."""
LEFT_BEHIND: Final = """
    status IN ('pass', 'fail') AND left_behind IS NOT NULL AND left_behind ->> 'proof' IS NULL
"""
"""A run whose command ended by itself and left processes behind that may be alive."""

UNKILLABLE: Final = f"""
    ((status = 'canceling' OR ({LOST}) OR ({LEFT_BEHIND}))
     AND (loss ->> 'ended' = 'survived' OR left_behind ->> 'ended' = 'survived' OR EXISTS (
             SELECT FROM cancellations c
              WHERE c.run_id = runs.run_id AND c.outcome = 'stop_failed'
               AND c.evidence ->> 'ended' IS DISTINCT FROM 'not_proved')))
"""  # noqa: S608 - put together from constants
"""A process of the run survived SIGKILL, and no later stop has ended it."""

# Runs of host $1 with open commands, and the time of the first. The query starts from the few runs
# of the host, not from all open commands, because every host runs it with each heartbeat.
_OPEN_RUNS: Final = """
    SELECT r.run_id, c.received_at
      FROM runs r, LATERAL (SELECT received_at FROM cancellations
                             WHERE run_id = r.run_id AND outcome IS NULL
                             ORDER BY received_at LIMIT 1) c
     WHERE r.host = $1 AND {which}
"""
OPEN_RUNS_OF_HOST: Final = " UNION ALL ".join(
    _OPEN_RUNS.format(which=which)
    for which in (
        "r.status IN ('running', 'canceling')",
        LOST,
        LEFT_BEHIND,
    )
)

LOCK_HOST: Final = f"""
    SELECT *, {STATE} AS state, extract(epoch FROM clock_timestamp() - seen_at)::float8 AS age
      FROM hosts
     WHERE host = $1
       FOR UPDATE
"""  # noqa: S608 - put together from constants

REGISTER_HOST: Final = """
    INSERT INTO hosts (host, worker_id, boot_id, beat_seconds, machine_id, pid_namespace,
                       privileges, wakes_since)
    VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, '-infinity')
    ON CONFLICT (host) DO UPDATE
       SET worker_id = excluded.worker_id, boot_id = excluded.boot_id,
           machine_id = excluded.machine_id, pid_namespace = excluded.pid_namespace,
           privileges = excluded.privileges,
           wakes_since = CASE
               WHEN hosts.wakes_since IS NULL AND hosts.worker_id IS NOT NULL
                    AND hosts.left_at IS NULL THEN clock_timestamp()
               ELSE coalesce(hosts.wakes_since, '-infinity') END,
           beat_seconds = excluded.beat_seconds, seen_at = clock_timestamp(),
           left_at = NULL, abandoned_at = NULL
"""

# What a worker learns with each heartbeat: whether it is still the worker of the host, and whether
# there are open commands, events, or queued runs that did not start in time.
BEAT: Final = f"""
    WITH beat AS (
        UPDATE hosts SET seen_at = clock_timestamp()
         WHERE host = $1 AND worker_id = $2
        RETURNING host
    )
    SELECT EXISTS (SELECT FROM beat) AS heard,
           own.worker_id, own.abandoned_at IS NOT NULL AS abandoned,
           EXISTS (SELECT FROM outbox) AS has_events,
           pg_postmaster_start_time() AS server_started_at,
           EXISTS (SELECT FROM ({OPEN_RUNS_OF_HOST}) open) AS has_open_commands,
           EXISTS (SELECT FROM runs WHERE status = 'queued'
                      AND start_before <= statement_timestamp()) AS has_expired
      FROM hosts own
     WHERE own.host = $1
"""  # noqa: S608 - put together from constants

# A worker that has been silent for an hour decides on nothing, and so forwards nothing. A replaced
# worker notices with its next heartbeat, and then has some seconds to finish.
HAS_OLD_WORKERS: Final = """
    SELECT EXISTS (SELECT FROM hosts
                    WHERE wakes_since IS NULL AND worker_id IS NOT NULL AND left_at IS NULL
                          AND seen_at > clock_timestamp() - interval '1 hour'
                       OR wakes_since + make_interval(secs => 60 + beat_seconds)
                          > clock_timestamp())
"""

LEAVE: Final = """
    UPDATE hosts SET left_at = clock_timestamp() WHERE host = $1 AND worker_id = $2
"""

ABANDON: Final = """
    UPDATE hosts SET worker_id = NULL, left_at = NULL, abandoned_at = clock_timestamp()
     WHERE host = $1
"""

# Nothing proves that their processes are gone, so no run becomes `canceled` here.
LOSE_RUNS_OF_ABANDONED: Final = """
    UPDATE runs
       SET status = 'error', finished_at = clock_timestamp(),
           error = 'host ' || $1 || ' was abandoned by ' || $2 || ': ' || $3,
           loss = jsonb_build_object(
               'cause', 'host_abandoned', 'noticed_at', clock_timestamp(), 'was', status,
               'by', $2::text, 'reason', $3::text, 'host_seen_at', $4::timestamptz)
     WHERE host = $1 AND status IN ('running', 'canceling')
    RETURNING run_id
"""

LOCK_OVER_UNPROVED: Final = f"""
    SELECT FROM runs
     WHERE host = $1 AND (({LOST}) OR ({LEFT_BEHIND}))
     ORDER BY run_id
       FOR UPDATE
"""

CLOSE_COMMANDS_OF_ABANDONED: Final = f"""
    UPDATE cancellations
       SET outcome = 'abandoned', finished_at = clock_timestamp(),
           evidence = keeping_earlier(
               jsonb_build_object('host_abandoned_by', $2::text, 'reason', $3::text), evidence)
     WHERE (run_id = ANY ($1::bigint[]) AND (outcome IS NULL OR outcome = 'stop_failed'))
        -- And those on runs that were over before: no worker is left to search for their processes.
        OR (outcome IS NULL
            AND run_id IN (SELECT run_id FROM runs
                            WHERE host = $4 AND (({LOST}) OR ({LEFT_BEHIND}))))
    RETURNING command_id
"""  # noqa: S608 - put together from constants

HAS_RUNS: Final = """
    SELECT EXISTS (SELECT FROM runs WHERE host = $1 AND status IN ('running', 'canceling'))
"""

# Another machine has the name now, so these processes can no longer be searched for.
CLOSE_LOST_OF_REPLACED: Final = f"""
    UPDATE runs SET loss = loss || '{{"proof": "none_host_replaced"}}'
     WHERE host = $1 AND {LOST}
    RETURNING run_id
"""  # noqa: S608 - put together from constants
CLOSE_LEFT_BEHIND_OF_REPLACED: Final = f"""
    UPDATE runs SET left_behind = left_behind || '{{"proof": "none_host_replaced"}}'
     WHERE host = $1 AND {LEFT_BEHIND}
    RETURNING run_id
"""  # noqa: S608 - likewise

# No process outlives its kernel. For runs that were being stopped, this is the proof.
LOSE_RUNS_OF_REBOOTED: Final = """
    UPDATE runs
       SET status = 'error', finished_at = clock_timestamp(),
           error = 'the host was rebooted while the run was running',
           loss = jsonb_build_object(
               'cause', 'host_rebooted', 'noticed_at', clock_timestamp(),
               -- Its containers the engine may have started again.
               'proof', CASE WHEN containers_in IS NULL THEN 'host_rebooted' END,
               'ran_in_boot', boot_id, 'booted_as', $2::uuid)
     WHERE host = $1 AND boot_id <> $2 AND status = 'running'
    RETURNING run_id
"""

FIND_STOPPING_OF_REBOOTED: Final = """
    SELECT run_id FROM runs
     WHERE host = $1 AND boot_id <> $2 AND status = 'canceling' AND containers_in IS NULL
       FOR UPDATE
"""

PROVE_LOST_OF_REBOOTED: Final = f"""
    UPDATE runs
       SET loss = coalesce(loss, '{{"cause": "host_rebooted"}}')
               || jsonb_build_object('proof', 'host_rebooted', 'booted_as', $2::uuid)
     WHERE host = $1 AND boot_id <> $2 AND containers_in IS NULL AND {LOST}
    RETURNING run_id
"""  # noqa: S608 - put together from constants
PROVE_LEFT_BEHIND_OF_REBOOTED: Final = f"""
    UPDATE runs
       SET left_behind = left_behind
               || jsonb_build_object('proof', 'host_rebooted', 'booted_as', $2::uuid)
     WHERE host = $1 AND boot_id <> $2 AND containers_in IS NULL AND {LEFT_BEHIND}
    RETURNING run_id
"""  # noqa: S608 - likewise

ADD_ACTION: Final = """
    INSERT INTO host_actions (host, action, done_by, reason, run_ids) VALUES ($1, $2, $3, $4, $5)
"""

LIST_ACTIONS: Final = """
    SELECT action, done_at, done_by, reason, run_ids
      FROM host_actions
     WHERE host = $1
     ORDER BY action_id
"""

# A host is flagged while a process on it survives SIGKILL, because an operator has to look at it.
LIST_HOSTS: Final = f"""
    SELECT host, {STATE} AS state, seen_at, boot_id, left_at, abandoned_at,
           extract(epoch FROM clock_timestamp() - seen_at)::float8 AS seconds_silent,
           pid_namespace, privileges,
           coalesce(r.running, 0) AS running, coalesce(r.canceling, 0) AS canceling,
           coalesce(r.unkillable, ARRAY[]::bigint[]) AS unkillable
      FROM hosts h
      LEFT JOIN LATERAL (
               SELECT count(*) FILTER (WHERE status = 'running') AS running,
                      count(*) FILTER (WHERE status = 'canceling') AS canceling,
                      array_agg(run_id ORDER BY run_id) FILTER (WHERE {UNKILLABLE}) AS unkillable
                 FROM runs
                WHERE runs.host = h.host
                  AND (status IN ('running', 'canceling') OR ({LOST}) OR ({LEFT_BEHIND}))
           ) r ON true
     WHERE $1::text IS NULL OR host = $1
     ORDER BY host
"""  # noqa: S608 - put together from constants

FIND_STATE: Final = f"""
    SELECT {STATE} AS state, {SINCE} AS since FROM hosts WHERE host = $1
"""  # noqa: S608 - put together from constants

# The open commands of a host, oldest first, at most 1000.
LIST_OPEN_COMMANDS: Final = """
    SELECT c.command_id, c.run_id, r.status, r.stop_deadline, c.received_at, c.requested_by,
           c.reason
      FROM cancellations c JOIN runs r USING (run_id)
     WHERE c.outcome IS NULL AND r.host = $1
     ORDER BY c.received_at, c.command_id
     LIMIT 1000
"""

# Waiting dead letters of the runs of host $1 that are not over or may have processes left.
LIST_WAITING_LETTERS: Final = f"""
    SELECT d.letter_id, d.run_id, d.reason, d.arrived_at
      FROM runs r JOIN dead_letters d USING (run_id)
     WHERE r.host = $1 AND d.state = 'waiting'
       AND (r.status IN ('running', 'canceling') OR ({LOST}) OR ({LEFT_BEHIND}))
     ORDER BY d.letter_id
     LIMIT 1000
"""  # noqa: S608 - put together from constants

COUNT_HOSTS: Final = f"""
    SELECT 'hosts' AS what, {STATE} AS label, count(*)::float8 AS value FROM hosts GROUP BY label
"""  # noqa: S608 - put together from constants
