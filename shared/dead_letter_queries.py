"""All SQL about dead letters, by name."""

from typing import Final

# A letter that we buried has a key of its own. Another one may look like one that is there, and
# is another all the same; only when it is delivered again can it be the one that was kept before.
KEEP: Final = """
    INSERT INTO dead_letters
           (letter_key, digest, reason, error, attempts, first_failed_at, last_failed_at,
            exchange, routing_key, via, publisher, command_id, run_id, requested_by, body,
            message_id, correlation_id, type, app_id, content_type, content_encoding, headers,
            replays, replay_of)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
           $20, $21, $22::json, $23, $24
     WHERE NOT ($25 AND EXISTS (SELECT FROM dead_letters WHERE digest = $2))
    ON CONFLICT (letter_key) DO NOTHING
"""
