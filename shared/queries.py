"""All SQL of the way of a command, by name. Each arrow in `shared.states` is one guarded statement.

A guard is the `WHERE … status …` of an UPDATE: when no row comes back, another transition was first
and nothing was changed.
"""

from typing import Final

# One round trip admits a request: who asks, what that leaves of the budget, and the run.
# The count is exact under concurrency, because requests of one spender take turns on its row;
# now() is the statement's begin, so that all of its comparisons agree.
_ADMIT: Final = """
    WITH caller AS (
        SELECT token_id, subject, role, scopes, write_limit, read_limit
          FROM tokens
         WHERE token_hash = $1
           AND revoked_at IS NULL
           AND (expires_at IS NULL OR expires_at > now())
    ), spent AS (
        INSERT INTO rate_windows AS w (spender, budget, used, resets_at)
        SELECT coalesce(caller.token_id::text, $3),
               CASE WHEN caller.token_id IS NULL THEN 'anonymous' ELSE $2 END,
               1,
               now() + make_interval(secs => $4)
          FROM (VALUES (1)) AS request LEFT JOIN caller ON true
        ON CONFLICT (spender, budget) DO UPDATE
           SET used = CASE WHEN w.resets_at > now() THEN w.used + 1 ELSE 1 END,
               resets_at = CASE WHEN w.resets_at > now() THEN w.resets_at
                                ELSE excluded.resets_at END
        RETURNING used,
                  ceil(extract(epoch FROM resets_at))::bigint AS resets_at,
                  extract(epoch FROM resets_at - now())::float8 AS resets_in
    )
    SELECT caller.*, spent.*, run.*
      FROM spent LEFT JOIN caller ON true LEFT JOIN LATERAL ({run}) AS run ON true
"""

_SUMMARY: Final = """
    SELECT r.run_id, r.status, r.created_at, r.started_at, r.canceling_at, r.finished_at,
           r.exit_code, r.error, c.command_id, c.via, c.requested_by, c.reason, c.received_at,
           c.outcome, c.finished_at AS answered_at, c.evidence ->> 'ended' AS ended,
           c.evidence ->> 'proof' AS proof, (c.evidence -> 'duration_ms')::float8 AS duration_ms
      FROM runs r
      LEFT JOIN LATERAL (
               SELECT * FROM cancellations WHERE run_id = r.run_id
                ORDER BY received_at DESC, command_id LIMIT 1
           ) c ON true
     WHERE r.run_id = {run_id}
"""

# $1 the token's hash, $2 the budget, $3 the client's address, $4 the window in seconds, $5 the run
ADMIT_WITH_STATUS: Final = _ADMIT.format(run="SELECT r.status FROM runs r WHERE r.run_id = $5")
ADMIT_WITH_SUMMARY: Final = _ADMIT.format(run=_SUMMARY.format(run_id="$5"))

FIND_RUN_SUMMARY: Final = _SUMMARY.format(run_id="$1")

LIST_TERMINAL: Final = """
    SELECT run_id
      FROM runs
     WHERE run_id = ANY ($1::bigint[]) AND status IN ('pass', 'fail', 'canceled', 'error')
"""

SWEEP_RATE_WINDOWS: Final = "DELETE FROM rate_windows WHERE resets_at < now()"

ADD_TOKEN: Final = """
    INSERT INTO tokens (token_hash, subject, role, scopes, write_limit, read_limit, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, now() + $7::interval)
"""

LIST_TOKENS: Final = """
    SELECT token_id, subject, role, scopes, write_limit, read_limit, created_at, expires_at,
           revoked_at,
           CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
                WHEN expires_at <= now() THEN 'expired'
                ELSE 'active' END AS state
      FROM tokens
     WHERE $1::text IS NULL OR subject = $1
     ORDER BY token_id
"""

# By its number or by its hash. A token that was revoked stays as it is, and is found all the same.
REVOKE_TOKEN: Final = """
    UPDATE tokens
       SET revoked_at = coalesce(revoked_at, now())
     WHERE token_id = $1 OR token_hash = $2
    RETURNING token_id, subject, revoked_at < now() AS was_revoked
"""

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

# CANCEL_QUEUED and RECORD_COMMAND for many, with what is a no_op. Runs that are locked are passed
# over: whoever has them in hand decides first. The record comes first here, so that a command that
# turns out to be on record, for this run or another, changes no run.
SETTLE_BATCH: Final = """
    WITH asked AS (
        SELECT *
          FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[],
                      $7::boolean[], $8::float8[], $9::timestamptz[])
            AS a (command_id, run_id, via, publisher, requested_by, reason, force, grace_seconds,
                  requested_at)
    ), held AS (
        SELECT run_id, status
          FROM runs
         WHERE run_id = ANY ($2)
           AND (status IN ('queued', 'pass', 'fail', 'canceled')
                OR (status = 'error' AND loss ->> 'proof' IS NOT NULL))
           FOR UPDATE SKIP LOCKED
    ), recorded AS (
        INSERT INTO cancellations
               (command_id, run_id, via, publisher, requested_by, reason, force, grace_seconds,
                requested_at, outcome, finished_at, evidence)
        SELECT command_id, run_id, via, publisher, requested_by, reason, force, grace_seconds,
               requested_at,
               CASE status WHEN 'queued' THEN 'canceled' ELSE 'no_op' END,
               clock_timestamp(),
               CASE status WHEN 'queued' THEN $10::jsonb
                           ELSE jsonb_build_object('run_status', status) END
          FROM asked JOIN held USING (run_id)
        ON CONFLICT (command_id) DO NOTHING
        RETURNING command_id, run_id, outcome
    ), canceled AS (
        UPDATE runs r
           SET status = 'canceled', finished_at = clock_timestamp()
          FROM recorded
         WHERE r.run_id = recorded.run_id AND recorded.outcome = 'canceled'
           AND r.status = 'queued'
    )
    SELECT command_id, outcome FROM recorded
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
            requested_at, outcome, finished_at, evidence)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
            CASE WHEN $10::text IS NOT NULL THEN clock_timestamp() END, $11::jsonb)
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

COMPLETE_RUN: Final = """
    UPDATE runs
       SET status = CASE WHEN $4 = 0 THEN 'pass' ELSE 'fail' END,
           exit_code = $4, finished_at = clock_timestamp()
     WHERE run_id = $1 AND status = 'running'
       AND boot_id = $5 AND launcher_pid = $2 AND launcher_start_ticks = $3
    RETURNING status
"""

# The exit code of a run that is being stopped is worth keeping; its status is the stop's to set.
NOTE_EXIT_CODE: Final = """
    UPDATE runs
       SET exit_code = coalesce(exit_code, $4)
     WHERE run_id = $1 AND status IN ('canceling', 'canceled')
       AND boot_id = $5 AND launcher_pid = $2 AND launcher_start_ticks = $3
    RETURNING status
"""

FIND_OWN_STATUS: Final = """
    SELECT status
      FROM runs
     WHERE run_id = $1 AND boot_id = $4 AND launcher_pid = $2 AND launcher_start_ticks = $3
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
"""

LIST_RUNNING_ON_HOST: Final = """
    SELECT * FROM runs WHERE host = $1 AND status = 'running'
"""

LIST_UNPROVED_ON_HOST: Final = """
    SELECT * FROM runs
     WHERE host = $1 AND boot_id = $2 AND status = 'error' AND loss ->> 'proof' IS NULL
"""
