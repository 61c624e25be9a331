"""All SQL of the gateway, by name: tokens, rate limits and runs."""

from typing import Final

from shared.postgres.sql.hosts import LEFT_BEHIND, LOST, SINCE, STATE
from shared.postgres.sql.runs import ENDS_RUN

# One round trip admits a batch of requests, in order: for each, the caller, the rest of its budget,
# and the run. The count is exact under concurrency, because requests of one spender take turns on
# its row; rows of several spenders are locked in one order, so that gateways cannot deadlock. now()
# is the start of the transaction, so that all comparisons agree.
_ADMIT: Final = """
    WITH asked AS (
        SELECT *
          FROM unnest($1::bytea[], $2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY
            AS a (token_hash, budget, address, run_id, number)
    ), request AS (
        SELECT number, run_id, token_id, subject, role, scopes, write_limit, read_limit,
               register_limit, coalesce(token_id::text, address) AS spender,
               CASE WHEN token_id IS NULL THEN 'anonymous' ELSE budget END AS budget
          FROM asked
          LEFT JOIN tokens ON tokens.token_hash = asked.token_hash
                          AND revoked_at IS NULL
                          AND (expires_at IS NULL OR expires_at > now())
    ), spent AS (
        INSERT INTO rate_windows AS w (spender, budget, used, resets_at)
        SELECT spender, budget, count(*), now() + make_interval(secs => $5)
          FROM request
         GROUP BY spender, budget
         ORDER BY spender, budget
        ON CONFLICT (spender, budget) DO UPDATE
           SET used = CASE WHEN w.resets_at > now() THEN w.used ELSE 0 END + excluded.used,
               resets_at = CASE WHEN w.resets_at > now() THEN w.resets_at
                                ELSE excluded.resets_at END
        RETURNING spender, budget, used,
                  ceil(extract(epoch FROM resets_at))::bigint AS resets_at,
                  extract(epoch FROM resets_at - now())::float8 AS resets_in
    )
    SELECT token_id, subject, role, scopes, write_limit, read_limit, register_limit,
           used - count(*) OVER same + row_number() OVER (same ORDER BY number) AS used,
           resets_at, resets_in, now() AS asked_at, run.*
      FROM request JOIN spent USING (spender, budget)
      LEFT JOIN LATERAL ({run}) AS run ON true
    WINDOW same AS (PARTITION BY spender, budget)
     ORDER BY number
"""

_SUMMARY: Final = f"""
    SELECT r.run_id, r.status, r.created_at, r.started_at, r.canceling_at, r.finished_at,
           r.exit_code, r.error, r.labels, r.url, r.start_before, r.expired, r.left_behind,
           c.command_id, c.via,
           c.requested_by, c.reason, c.force, c.received_at, c.outcome, r.host,
           {STATE} AS host_state,
           coalesce({SINCE}, c.received_at) AS host_since, c.finished_at AS answered_at,
           c.evidence ->> 'ended' AS ended,
           c.evidence ->> 'proof' AS proof,
           (c.evidence -> 'duration_ms')::float8 AS duration_ms,
           coalesce(jsonb_array_length(c.evidence -> 'containers'), 0) AS containers
      FROM runs r
      LEFT JOIN LATERAL {ENDS_RUN} c ON true
      LEFT JOIN hosts h ON h.host = r.host AND c.command_id IS NOT NULL AND c.outcome IS NULL
     WHERE r.run_id = {{run_id}}
"""  # noqa: S608 - put together from constants

# $1 the tokens' hashes, $2 the budgets, $3 the clients' addresses, $4 the runs, $5 the window in
# seconds
ADMIT_WITH_STATUS: Final = _ADMIT.format(
    run=f"""
        SELECT r.status, ({LOST}) OR ({LEFT_BEHIND}) AS leftovers_possible
          FROM runs r WHERE r.run_id = request.run_id
    """  # noqa: S608 - put together from constants
)
ADMIT_WITH_SUMMARY: Final = _ADMIT.format(run=_SUMMARY.format(run_id="request.run_id"))

FIND_RUN_SUMMARY: Final = _SUMMARY.format(run_id="$1")

# A page of a list of runs, newest first: those up to run $4 that have status $1, ran on host $2
# and have each label of $3; what is null is no condition. The newest $5 runs of one index are
# looked at, so that no combination of conditions reads more; `last` is the oldest of them if there
# may be others. The one row without a run says only that.
_LIST: Final = f"""
    WITH looked_at AS MATERIALIZED (
        {{those}} AND run_id <= $4
         ORDER BY run_id DESC
         LIMIT $5
    ), seen AS (
        SELECT CASE WHEN count(*) = $5 THEN min(run_id) END AS last FROM looked_at
    )
    SELECT seen.last, page.*
      FROM seen
      LEFT JOIN LATERAL (
               SELECT found.*
                 FROM (SELECT r.run_id
                         FROM looked_at l,
                              -- One by one, also before the table is analyzed.
                              LATERAL (SELECT * FROM runs WHERE run_id = l.run_id LIMIT 1) r
                        WHERE ($1::text IS NULL OR r.status = $1)
                          AND ($2::text IS NULL OR r.host = $2)
                          AND r.labels @> ALL ($3::jsonb[])
                        ORDER BY l.run_id DESC
                        LIMIT $6) listed,
                      LATERAL ({_SUMMARY.format(run_id="listed.run_id")}) found
           ) page ON true
     ORDER BY page.run_id DESC
"""  # noqa: S608 - put together from constants
LIST_ALL: Final = _LIST.format(those="SELECT run_id FROM runs WHERE run_id >= 1")
LIST_BY_STATUS: Final = _LIST.format(those="SELECT run_id FROM runs WHERE status = $1")
LIST_BY_HOST: Final = _LIST.format(those="SELECT run_id FROM runs WHERE host = $2")
# $7: one of the labels, as key:value
LIST_BY_LABEL: Final = _LIST.format(those="SELECT run_id FROM run_labels WHERE label = $7")

# The runs in $1 that are over, and the commands in $2 that have their outcome.
LIST_ENDED: Final = """
    SELECT run_id, NULL::uuid AS command_id
      FROM runs
     WHERE run_id = ANY ($1::bigint[]) AND status IN ('pass', 'fail', 'canceled', 'error')
     UNION ALL
    SELECT NULL, command_id
      FROM cancellations
     WHERE command_id = ANY ($2::uuid[]) AND outcome IS NOT NULL
"""

SWEEP_RATE_WINDOWS: Final = "DELETE FROM rate_windows WHERE resets_at < now()"

ADD_TOKEN: Final = """
    INSERT INTO tokens (token_hash, subject, role, scopes, write_limit, read_limit, register_limit,
                        expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, now() + $8::interval)
"""

LIST_TOKENS: Final = """
    SELECT token_id, subject, role, scopes, write_limit, read_limit, register_limit,
           created_at, expires_at, revoked_at,
           CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
                WHEN expires_at <= now() THEN 'expired'
                ELSE 'active' END AS state
      FROM tokens
     WHERE $1::text IS NULL OR subject = $1
     ORDER BY token_id
"""

# By id or by hash. Revoking a revoked token changes nothing, but still finds it.
REVOKE_TOKEN: Final = """
    UPDATE tokens
       SET revoked_at = coalesce(revoked_at, now())
     WHERE token_id = $1 OR token_hash = $2
    RETURNING token_id, subject, revoked_at < now() AS was_revoked
"""
