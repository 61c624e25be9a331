"""All SQL of the outbox, by name. Events get into it by triggers (migration 0011)."""

from typing import Final

# Of several workers one publishes; the others need not wait for it, they come again.
TAKE_TURN: Final = "SELECT true FROM turns WHERE name = 'relay' FOR UPDATE SKIP LOCKED"

NEXT_EVENTS: Final = """
    SELECT event_id, type, run_id, at, data FROM outbox ORDER BY event_id LIMIT $1
"""

REMOVE_EVENTS: Final = "DELETE FROM outbox WHERE event_id = ANY ($1::bigint[])"
