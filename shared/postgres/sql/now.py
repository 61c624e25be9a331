"""The SQL of the console's page Now and of its pages about hosts, by name. Its cost is bounded."""

from typing import Final

from shared.postgres.sql.hosts import LEFT_BEHIND, LOST, SINCE, STATE, UNKILLABLE
from shared.postgres.sql.runs import ENDS_RUN

MOST: Final = 10_000
"""Rows of a kind that are looked at, so that a flood makes no page slow."""
MOST_LETTERS: Final = 2_000
"""They are larger."""
RATE_MINUTES: Final = 15
MOST_PER_RATE: Final = 50_000
"""Rows per rate. Of more, the newest are counted."""

# Stops in progress, the earliest deadline first, and the number of all.
STOPS: Final = f"""
    WITH canceling AS (
        SELECT r.*, count(*) OVER () AS found
          FROM (SELECT run_id, host, canceling_at, stop_deadline
                  FROM runs WHERE status = 'canceling' LIMIT {MOST}) r
         ORDER BY stop_deadline, run_id
         LIMIT $1
    )
    SELECT r.*, {STATE} AS host_state, {SINCE} AS host_since,
           c.requested_by, c.reason, c.outcome
      FROM canceling r
      JOIN hosts h ON h.host = r.host
      LEFT JOIN LATERAL {ENDS_RUN} c ON true
     ORDER BY r.stop_deadline, r.run_id
"""  # noqa: S608 - put together from constants

# Open commands on runs that are not being stopped, by the host that they wait for.
_WAITING: Final = f"""
    SELECT c.command_id, c.run_id, c.received_at, c.requested_by, c.reason, r.status, r.host
      FROM (SELECT command_id, run_id, received_at, requested_by, reason
              FROM cancellations WHERE outcome IS NULL LIMIT {MOST}) c
      JOIN runs r USING (run_id)
     WHERE r.status <> 'canceling'
"""  # noqa: S608 - put together from constants
WAITING: Final = f"""
    SELECT w.*, {STATE} AS host_state, {SINCE} AS host_since
      FROM (SELECT * FROM ({_WAITING}) w ORDER BY received_at, command_id LIMIT $1) w
      LEFT JOIN hosts h ON h.host = w.host
     ORDER BY received_at, command_id
"""  # noqa: S608 - put together from constants
WAITING_BY_HOST: Final = f"""
    SELECT w.*, {STATE} AS host_state, {SINCE} AS host_since
      FROM (SELECT host, count(*) AS commands, min(received_at) AS oldest
              FROM ({_WAITING}) w GROUP BY host) w
      LEFT JOIN hosts h ON h.host = w.host
     ORDER BY commands DESC, w.host
"""  # noqa: S608 - put together from constants

# Each rate: by minute, and by what became of it.
_SINCE: Final = f"date_trunc('minute', now()) - interval '{RATE_MINUTES - 1} minutes'"
_RATE: Final = f"""
    SELECT '{{name}}' AS rate, date_trunc('minute', at) AS minute, kind, count(*) AS number
      FROM (SELECT {{at}} AS at, {{kind}} AS kind FROM {{table}}
             WHERE {{at}} >= {_SINCE}
             ORDER BY {{at}} DESC LIMIT {MOST_PER_RATE}) newest
     GROUP BY 2, 3
"""  # noqa: S608 - put together from constants
RATES: Final = "UNION ALL".join(
    _RATE.format(name=name, table=table, at=at, kind=kind)
    for name, table, at, kind in (
        (
            "cancels",
            "cancellations",
            "received_at",
            "CASE WHEN outcome IS NULL OR outcome = 'canceled' THEN coalesce(outcome, 'open')"
            " ELSE 'other' END",
        ),
        (
            "ended",
            "runs",
            "finished_at",
            "CASE WHEN status = 'canceled' THEN 'canceled' ELSE 'other' END",
        ),
        ("letters", "dead_letters", "arrived_at", "''"),
    )
)

# Waiting letters by reason. The oldest has the lowest id, except among concurrent ones.
LETTERS: Final = f"""
    SELECT reason, count(*) AS letters, min(arrived_at) AS oldest
      FROM (SELECT reason, arrived_at FROM dead_letters
             WHERE state = 'waiting' ORDER BY letter_id LIMIT {MOST_LETTERS}) waiting
     GROUP BY reason
     ORDER BY letters DESC, reason
"""  # noqa: S608 - put together from constants

# Events that are not published yet, and the time of Postgres' clock.
EVENTS: Final = f"""
    SELECT clock_timestamp() AS now, count(*) AS events, min(at) AS oldest
      FROM (SELECT at FROM outbox ORDER BY event_id LIMIT {MOST}) waiting
"""  # noqa: S608 - put together from constants

# $2 hosts after $1 by name, in state $3 if that is not null, with their runs.
PAGE_OF_HOSTS: Final = f"""
    SELECT h.*, r.*
      FROM (SELECT host, {STATE} AS state, seen_at, left_at, abandoned_at
              FROM hosts
             WHERE host > $1 AND ($3::text IS NULL OR {STATE} = $3)
             ORDER BY host
             LIMIT $2) h,
           LATERAL (SELECT count(*) FILTER (WHERE status = 'running') AS running,
                           count(*) FILTER (WHERE status = 'canceling') AS canceling,
                           coalesce(array_agg(run_id ORDER BY run_id)
                               FILTER (WHERE {UNKILLABLE}), '{{}}') AS unkillable
                      FROM runs
                     WHERE runs.host = h.host
                       AND (status IN ('running', 'canceling') OR ({LOST}) OR ({LEFT_BEHIND}))) r
     ORDER BY h.host
"""  # noqa: S608 - put together from constants

# Runs of host $1 that are not over, and those that may have processes left: $2 of them.
LIVE_ON_HOST: Final = f"""
    SELECT run_id, status, started_at, canceling_at, stop_deadline, finished_at
      FROM runs
     WHERE host = $1 AND (status IN ('running', 'canceling') OR ({LOST}) OR ({LEFT_BEHIND}))
     ORDER BY status = 'canceling' DESC, started_at, run_id
     LIMIT $2
"""  # noqa: S608 - put together from constants

LATEST_ACTIONS_OF_HOST: Final = """
    SELECT action, done_at, done_by, reason, run_ids
      FROM host_actions
     WHERE host = $1
     ORDER BY action_id DESC
     LIMIT $2
"""
