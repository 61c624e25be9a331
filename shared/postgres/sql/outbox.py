"""All SQL of the outbox, by name. Triggers fill it (migrations 0011, 0013)."""

from typing import Final

# Only one worker publishes at a time. The others do not wait; they try again later.
TAKE_TURN: Final = "SELECT true FROM turns WHERE name = 'relay' FOR UPDATE SKIP LOCKED"

HAS_EVENTS: Final = "SELECT EXISTS (SELECT FROM outbox)"

# Without events of the runs in $2, which wait. There may be very many, and if the planner knew the
# number, it would compare each event with each run instead of hashing them (as `<> ALL` does).
NEXT_EVENTS: Final = """
    (SELECT event_id, type, run_id, at, data, message_header, message_body FROM outbox
      WHERE type <> 'dead_letter' AND run_id NOT IN (SELECT unnest((SELECT $2::bigint[])))
      ORDER BY event_id
      LIMIT $1)
    UNION ALL
    (SELECT event_id, type, run_id, at, data, message_header, message_body FROM outbox
      WHERE type = 'dead_letter'
      ORDER BY event_id
      LIMIT $1)
"""

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

REMOVE_EVENTS: Final = "DELETE FROM outbox WHERE event_id = ANY ($1::bigint[])"
