"""All SQL about dead letters, by name."""

from typing import Final

from shared.amqp.keys import QUEUED_KEY

# Keepers take turns, so that each sees the letters that the others have stored.
TAKE_TURN: Final = "SELECT FROM turns WHERE name = 'keeper' FOR UPDATE"

# A dead letter that a worker sent has its own key. A command that failed twice, because it was
# published or delivered twice, is one letter while the first one is waiting; so is a registration,
# which has no command id. Any other message that looks like a stored one is a different letter,
# unless it was redelivered.
KEEP: Final = f"""
    INSERT INTO dead_letters
           (letter_key, digest, reason, error, attempts, first_failed_at, last_failed_at,
            exchange, routing_key, via, publisher, command_id, run_id, requested_by, body,
            message_id, correlation_id, type, app_id, content_type, content_encoding, headers,
            replays, replay_of, full_size, reply_to)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
           $20, $21, $22::json, $23, $24, $27, $28
     WHERE NOT ($25 AND EXISTS (SELECT FROM dead_letters WHERE digest = $2))
       AND NOT ($26 AND EXISTS (
               SELECT FROM dead_letters
                WHERE state = 'waiting' AND command_id = $12 AND reason = $3 AND body = $15
                  AND letter_id IS DISTINCT FROM $24))
       AND NOT ($26 AND $9 = '{QUEUED_KEY}' AND EXISTS (
               SELECT FROM dead_letters
                WHERE state = 'waiting' AND run_id = $13 AND routing_key = $9 AND reason = $3
                  AND body = $15 AND letter_id IS DISTINCT FROM $24))
    ON CONFLICT (letter_key) DO NOTHING
"""  # noqa: S608 - put together from constants

# Of the letters $1, commands $2 that failed as $3, those that were not kept, because another letter
# of the command is waiting: the content of that one's event.
REPEATED: Final = """
    SELECT DISTINCT ON (asked.letter_key)
           asked.letter_key, d.letter_id, d.arrived_at, rejected(d) AS data
      FROM unnest($1::text[], $2::uuid[], $3::text[]) AS asked (letter_key, command_id, reason)
      JOIN dead_letters d USING (command_id, reason)
     WHERE d.state = 'waiting'
       AND NOT EXISTS (SELECT FROM dead_letters k WHERE k.letter_key = asked.letter_key)
     ORDER BY asked.letter_key, d.letter_id DESC
"""

UNKNOWN_PUBLISHER: Final = "unknown"
"""Selects letters without a known publisher, and those of a broker user with this name."""

PUBLISHER: Final = f"coalesce(publisher, '{UNKNOWN_PUBLISHER}')"

HAS_PUBLISHER: Final = f"""
    SELECT EXISTS (SELECT FROM dead_letters WHERE {PUBLISHER} = $1)
"""  # noqa: S608 - put together from constants

FIND: Final = "SELECT * FROM dead_letters WHERE letter_id = $1"

# The first $2 of a run, null for all.
LIST_OF_RUN: Final = """
    SELECT letter_id, state, arrived_at, reason, error, attempts, routing_key, command_id, replays,
           replay_of
      FROM dead_letters
     WHERE run_id = $1
     ORDER BY letter_id
     LIMIT $2
"""

LIST_ACTIONS_OF_RUN: Final = """
    SELECT a.letter_id, a.action, a.done_at, a.done_by, a.command_id, a.note
      FROM dead_letter_actions a JOIN dead_letters l USING (letter_id)
     WHERE l.run_id = $1
     ORDER BY a.action_id
"""

LIST_ACTIONS: Final = """
    SELECT action, done_at, done_by, command_id, note
      FROM dead_letter_actions
     WHERE letter_id = $1
     ORDER BY action_id
"""

# With the bodies of edits.
LIST_WHOLE_ACTIONS: Final = """
    SELECT action, done_at, done_by, command_id, note, body
      FROM dead_letter_actions
     WHERE letter_id = $1
     ORDER BY action_id
"""

# The letters that replays of letter $1 became.
LIST_REPLAYS: Final = """
    SELECT letter_id, state FROM dead_letters WHERE replay_of = $1 ORDER BY letter_id LIMIT 100
"""

FIND_IDS: Final = "SELECT letter_id FROM dead_letters WHERE letter_id = ANY ($1::bigint[])"

# Read before a replay, to find the letters that arrive after it.
LATEST: Final = """
    SELECT coalesce(max(letter_id), 0) AS letter_id, clock_timestamp() AS now FROM dead_letters
"""

LATER: Final = """
    SELECT letter_id, replay_of, sha256(body) AS digest, reason, error
      FROM dead_letters
     WHERE letter_id > $1
     ORDER BY letter_id
     LIMIT $2
"""

OUTCOMES: Final = """
    SELECT command_id, run_id, outcome
      FROM cancellations
     WHERE command_id = ANY ($1::uuid[]) AND outcome IS NOT NULL
"""

# What the letters $1, replayed as the commands $2 on the runs $3, wait for.
WAITS_FOR: Final = """
    SELECT a.letter_id, a.run_id, r.status, r.host, h.seen_at,
           c.command_id IS NOT NULL AND c.outcome IS NULL AS is_open, c.outcome, c.finished_at,
           w.letter_id AS waits_as, w.reason AS waits_because
      FROM unnest($1::bigint[], $2::uuid[], $3::bigint[]) AS a (letter_id, command_id, run_id)
      LEFT JOIN runs r ON r.run_id = a.run_id
      LEFT JOIN hosts h ON h.host = r.host
      LEFT JOIN cancellations c ON c.command_id = a.command_id AND c.run_id = a.run_id
      LEFT JOIN LATERAL (
          SELECT letter_id, reason
            FROM dead_letters d
           WHERE d.state = 'waiting' AND d.command_id = a.command_id
             AND d.letter_id <> a.letter_id
           ORDER BY letter_id DESC
           LIMIT 1
      ) w ON true
"""

MARK_REPLAYED: Final = """
    WITH marked AS (
        UPDATE dead_letters SET state = 'replayed', replays = replays + 1
         WHERE letter_id = ANY ($1::bigint[])
        RETURNING letter_id
    )
    INSERT INTO dead_letter_actions (letter_id, action, done_by)
    SELECT letter_id, 'replayed', $2 FROM marked
"""

# Replayed with the body $4, and if it is a command, as $3.
MARK_EDITED: Final = """
    WITH marked AS (
        UPDATE dead_letters SET state = 'replayed', replays = replays + 1
         WHERE letter_id = $1
        RETURNING letter_id
    )
    INSERT INTO dead_letter_actions (letter_id, action, done_by, command_id, body)
    SELECT letter_id, 'edited', $2, $3, $4 FROM marked
"""

DISCARD: Final = """
    WITH marked AS (
        UPDATE dead_letters SET state = 'discarded'
         WHERE letter_id = ANY ($1::bigint[]) AND state = 'waiting'
        RETURNING letter_id
    )
    INSERT INTO dead_letter_actions (letter_id, action, done_by, note)
    SELECT letter_id, 'discarded', $2, $3 FROM marked
    RETURNING letter_id
"""
