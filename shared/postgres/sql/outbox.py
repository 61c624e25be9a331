"""All SQL of the outbox, by name. Triggers fill it (migration 0017)."""

from typing import Final

# Only one worker publishes at a time. The others do not wait; they try again later.
TAKE_TURN: Final = "SELECT true FROM turns WHERE name = 'relay' FOR UPDATE SKIP LOCKED"

HAS_EVENTS: Final = "SELECT EXISTS (SELECT FROM outbox)"

_EVENT: Final = """event_id, type, run_id, at, data, message_header, message_body, reply_to,
            correlation_id"""

# Without events of the runs in $2, which wait; an event without a run is its own, by its negative
# id. There may be very many, and if the planner knew the number, it would compare each event with
# each run instead of hashing them (as `<> ALL` does).
NEXT_EVENTS: Final = f"""
    (SELECT {_EVENT} FROM outbox
      WHERE type <> 'dead_letter'
        AND CASE run_id WHEN 0 THEN -event_id ELSE run_id END
            NOT IN (SELECT unnest((SELECT $2::bigint[])))
      ORDER BY event_id
      LIMIT $1)
    UNION ALL
    (SELECT {_EVENT} FROM outbox
      WHERE type = 'dead_letter'
      ORDER BY event_id
      LIMIT $1)
"""  # noqa: S608 - put together from constants

# Events that are still unconfirmed by now are dropped. The oldest have the lowest ids, so there is
# no need to scan the whole table.
DROP_OLD_EVENTS: Final = """
    WITH dropped AS (
        DELETE FROM outbox
         WHERE at < clock_timestamp() - $1::interval AND type <> 'dead_letter'
           AND event_id IN (SELECT event_id FROM outbox ORDER BY event_id LIMIT 10000)
        RETURNING 1)
    SELECT count(*) FROM dropped
"""

# The content of the event of each of these commands that has an outcome.
SETTLED: Final = """
    SELECT command_id, finished_at, settled(c) AS data
      FROM cancellations c
     WHERE command_id = ANY ($1::uuid[]) AND outcome IS NOT NULL
"""

REMOVE_EVENTS: Final = "DELETE FROM outbox WHERE event_id = ANY ($1::bigint[])"
