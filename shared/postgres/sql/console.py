"""The SQL of the console: who may sign in, and what has changed."""

from typing import Final

# The token with the hash $1, if it is valid.
FIND_TOKEN: Final = """
    SELECT token_id, subject, role
      FROM tokens
     WHERE token_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""

# Whether token $1 is still valid and of role $2.
IS_TOKEN_VALID: Final = """
    SELECT EXISTS (
        SELECT FROM tokens
         WHERE token_id = $1 AND role = $2 AND revoked_at IS NULL
           AND (expires_at IS NULL OR expires_at > now())
    ) AS valid
"""

# How many numbers each table that tells of changes has given. Of a sequence, one row is read;
# before its first number, last_value is 1 too (CREATE SEQUENCE).
LATEST_NUMBERS: Final = " UNION ALL ".join(
    f"SELECT last_value - 1 + is_called::int AS given FROM {table}_{column}_seq"  # noqa: S608
    for table, column in (
        ("outbox", "event_id"),
        ("dead_letters", "letter_id"),
        ("dead_letter_actions", "action_id"),
        ("host_actions", "action_id"),
        ("audit", "audit_id"),
    )
)
