"""Who may do what: bearer tokens, roles, scopes."""

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aiohttp import web

from gateway.errors import ApiError
from shared import queries
from shared.database import Database

TOKEN_PREFIX: Final = "rct_"
_REALM: Final = 'Bearer realm="run-cancel"'


class Scope(StrEnum):
    RUNS_READ = "runs:read"
    RUNS_WRITE = "runs:write"


class Role(StrEnum):
    ADMIN = "admin"
    TESTER = "tester"
    CONTRIBUTOR = "contributor"
    USER = "user"


MAY_CANCEL: Final = (Role.ADMIN, Role.TESTER, Role.CONTRIBUTOR)


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a valid token."""

    subject: str
    role: Role
    scopes: frozenset[str]


def new_token() -> str:
    """An opaque token of 256 random bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """What is stored of a token. No salt: a random 256-bit secret cannot be guessed."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


async def authenticate(request: web.Request, database: Database) -> Caller:
    """The caller of `request`. Raises ApiError 401, and ServiceUnavailable."""
    token = _bearer_token(request)
    # Looked up by its hash: how long that takes says nothing about any token.
    async with database.connection() as connection:
        row = await connection.fetchrow(queries.FIND_TOKEN, token_hash(token))
    if row is None:
        raise _unauthorized("The bearer token is invalid or expired.", 'error="invalid_token"')
    return Caller(row["subject"], Role(row["role"]), frozenset(row["scopes"]))


def require_role(caller: Caller, roles: tuple[Role, ...]) -> None:
    """Raise ApiError 403 unless the caller has one of `roles`."""
    if caller.role not in roles:
        raise ApiError(
            403,
            "forbidden",
            f"The role {caller.role} may not do this.",
            {"required_roles": list(roles), "user_role": caller.role},
        )


def require_scope(caller: Caller, scope: Scope) -> None:
    """Raise ApiError 403 unless the caller's token has `scope`."""
    if scope not in caller.scopes:
        raise ApiError(
            403,
            "forbidden",
            f"The token lacks the scope {scope}.",
            {"required_scope": scope, "token_scopes": sorted(caller.scopes)},
            # RFC 6750, section 3.1
            {"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{scope}"'},
        )


def _bearer_token(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise _unauthorized("A bearer token is required.")
    return token


def _unauthorized(message: str, *parameters: str) -> ApiError:
    # RFC 6750, section 3: no error code when no token was sent.
    challenge = ", ".join((_REALM, *parameters))
    return ApiError(401, "unauthorized", message, headers={"WWW-Authenticate": challenge})
