"""Stored tokens. Only their hashes are stored, never the tokens."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.auth.access import Scope, new_token
from shared.postgres import sql
from shared.postgres.database import Database
from shared.tokens import Role, token_hash


@dataclass(frozen=True, slots=True)
class NewToken:
    """What a token allows. Limits are requests per window; None means the gateway's default."""

    subject: str
    role: Role
    scopes: frozenset[Scope]
    write_limit: int | None = None
    read_limit: int | None = None
    register_limit: int | None = None
    expires_in: timedelta | None = None


@dataclass(frozen=True, slots=True)
class StoredToken:
    token_id: int
    subject: str
    role: str
    scopes: list[str]
    write_limit: int | None
    read_limit: int | None
    register_limit: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    state: str


@dataclass(frozen=True, slots=True)
class Revoked:
    token_id: int
    subject: str
    was_revoked: bool


async def create(database: Database, wanted: NewToken) -> str:
    """Store a new token and return it. It cannot be read again later."""
    token = new_token()
    async with database.connection() as connection:
        await connection.execute(
            sql.requests.ADD_TOKEN,
            token_hash(token),
            wanted.subject,
            wanted.role,
            sorted(wanted.scopes),
            wanted.write_limit,
            wanted.read_limit,
            wanted.register_limit,
            wanted.expires_in,
        )
    return token


async def find(database: Database, subject: str | None) -> list[StoredToken]:
    """All tokens, or those of `subject`, the oldest first."""
    async with database.connection() as connection:
        rows = await connection.fetch(sql.requests.LIST_TOKENS, subject)
    return [StoredToken(**row) for row in rows]


async def revoke(database: Database, tokens: list[int | str]) -> list[Revoked | None]:
    """Revoke tokens, given by id or by the token itself. The result is None for each unknown one.

    All or none. After ServiceUnavailable it is unknown which: repeat the call.
    """
    async with database.transaction() as connection:
        rows = [
            await connection.fetchrow(
                sql.requests.REVOKE_TOKEN,
                token if isinstance(token, int) else None,
                token_hash(token) if isinstance(token, str) else None,
            )
            for token in tokens
        ]
    return [None if row is None else Revoked(**row) for row in rows]
