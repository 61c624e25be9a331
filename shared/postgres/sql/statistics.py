"""The SQL behind the metrics from Postgres, by name. Its cost is bounded."""

from typing import Final

from shared.postgres.sql.hosts import COUNT_HOSTS, STATE, UNKILLABLE

MOST: Final = 100_000
"""Maximum number of rows counted per kind: index entries, about 10 ms."""
MOST_NAMED: Final = 10
"""Maximum number of hosts that are named for one reason: it bounds the number of series."""
MOST_SILENT: Final = 1_000
"""Silent hosts among which those with runs are looked for."""
OVERDUE_AFTER: Final = 30
"""Seconds after its deadline in which a stop should end: SIGKILL, its effect, and the record."""

_COUNT_RUNS: Final = f"""
    SELECT 'runs' AS what, status AS label,
           (SELECT count(*)
              FROM (SELECT FROM runs r WHERE r.status = s.status LIMIT {MOST}) counted
           )::float8 AS value
      FROM unnest($1::text[]) AS s (status)
"""  # noqa: S608 - put together from constants

_MEASURE_STOPS: Final = f"""
    SELECT s.what, '', s.value
      FROM (SELECT count(*) FILTER (
                       WHERE stop_deadline < clock_timestamp() - interval '{OVERDUE_AFTER} seconds'
                   )::float8 AS overdue,
                   greatest(0, extract(epoch FROM clock_timestamp() - min(stop_deadline)))::float8
                       AS most_overdue
              FROM (SELECT stop_deadline FROM runs
                     WHERE status = 'canceling' LIMIT {MOST}) canceling) found,
           LATERAL (VALUES ('stops_overdue', overdue),
                           ('stop_overdue_seconds', most_overdue)
                   ) AS s (what, value)
"""  # noqa: S608 - put together from constants

_COUNT_UNKILLABLE: Final = f"""
    SELECT 'runs_unkillable', '', count(*)::float8 FROM runs WHERE {UNKILLABLE}
"""  # noqa: S608 - put together from constants

_MEASURE_LETTERS: Final = f"""
    SELECT s.what, found.reason, s.value
      FROM (SELECT reason, count(*)::float8 AS waiting,
                   extract(epoch FROM clock_timestamp() - min(arrived_at))::float8 AS age
              FROM (SELECT reason, arrived_at FROM dead_letters
                     WHERE state = 'waiting' ORDER BY letter_id LIMIT {MOST}) oldest
             GROUP BY reason) found,
           LATERAL (VALUES ('letters_waiting', waiting), ('letters_oldest', age)
                   ) AS s (what, value)
"""  # noqa: S608 - put together from constants

# The oldest has the lowest id, except among rows that were inserted concurrently.
_MEASURE_EVENTS: Final = f"""
    SELECT s.what, '', s.value
      FROM (SELECT count(*)::float8 AS waiting,
                   greatest(0, extract(epoch FROM clock_timestamp() - min(at)))::float8 AS age
              FROM (SELECT at FROM outbox ORDER BY event_id LIMIT {MOST}) oldest) found,
           LATERAL (VALUES ('events_waiting', waiting), ('events_oldest', age)
                   ) AS s (what, value)
"""  # noqa: S608 - put together from constants

# By what a command waits for: the end of its stop, or the worker of a host in this state.
_MEASURE_OPEN: Final = f"""
    SELECT s.what, waits_for, s.value
      FROM (SELECT CASE WHEN status = 'canceling' AND state = 'up' THEN 'stop'
                        ELSE 'host_' || state END AS waits_for,
                   count(*)::float8 AS number,
                   extract(epoch FROM clock_timestamp() - min(received_at))::float8 AS age
              FROM (SELECT r.status, c.received_at, {STATE} AS state
                      FROM (SELECT run_id, received_at FROM cancellations
                             WHERE outcome IS NULL LIMIT {MOST}) c
                      JOIN runs r USING (run_id) JOIN hosts h ON h.host = r.host) open
             GROUP BY waits_for) found,
           LATERAL (VALUES ('commands_open', number), ('commands_open_oldest', age)
                   ) AS s (what, value)
"""  # noqa: S608 - put together from constants

_SILENT_HOSTS: Final = f"""
    (SELECT 'host_silent', host, extract(epoch FROM clock_timestamp() - seen_at)::float8
       FROM (SELECT host, seen_at FROM hosts WHERE {STATE} = 'silent'
              ORDER BY seen_at LIMIT {MOST_SILENT}) silent
      WHERE EXISTS (SELECT FROM runs r
                     WHERE r.host = silent.host AND r.status IN ('running', 'canceling'))
      ORDER BY seen_at LIMIT {MOST_NAMED})
"""  # noqa: S608 - put together from constants

_HOSTS_WITH_WAITING_COMMANDS: Final = f"""
    SELECT s.what, host, s.value
      FROM (SELECT r.host, count(*)::float8 AS number,
                   extract(epoch FROM clock_timestamp() - min(c.received_at))::float8 AS age
              FROM (SELECT run_id, received_at FROM cancellations
                     WHERE outcome IS NULL LIMIT {MOST}) c
              JOIN runs r USING (run_id) JOIN hosts h ON h.host = r.host
             WHERE NOT (r.status = 'canceling' AND {STATE} = 'up')
             GROUP BY r.host
             ORDER BY min(c.received_at) LIMIT {MOST_NAMED}) waiting,
           LATERAL (VALUES ('host_waiting', number), ('host_waiting_oldest', age)
                   ) AS s (what, value)
"""  # noqa: S608 - put together from constants

_HOSTS_WITH_OVERDUE_STOPS: Final = f"""
    (SELECT 'host_overdue', host,
            extract(epoch FROM clock_timestamp() - min(stop_deadline))::float8
       FROM (SELECT host, stop_deadline FROM runs
              WHERE status = 'canceling' LIMIT {MOST}) canceling
      WHERE stop_deadline < clock_timestamp() - interval '{OVERDUE_AFTER} seconds'
      GROUP BY host
      ORDER BY min(stop_deadline) LIMIT {MOST_NAMED})
"""  # noqa: S608 - put together from constants

_HOSTS_WITH_UNKILLABLE: Final = f"""
    (SELECT 'host_unkillable', host, count(*)::float8 FROM runs
      WHERE {UNKILLABLE}
      GROUP BY host
      ORDER BY count(*) DESC, host LIMIT {MOST_NAMED})
"""  # noqa: S608 - put together from constants

# Rows of (what, label, value); $1 are the states of a run.
READ_STATISTICS: Final = "UNION ALL".join(
    (
        _COUNT_RUNS,
        _MEASURE_STOPS,
        _COUNT_UNKILLABLE,
        _MEASURE_OPEN,
        _MEASURE_LETTERS,
        _MEASURE_EVENTS,
        COUNT_HOSTS,
        _SILENT_HOSTS,
        _HOSTS_WITH_WAITING_COMMANDS,
        _HOSTS_WITH_OVERDUE_STOPS,
        _HOSTS_WITH_UNKILLABLE,
    )
)
