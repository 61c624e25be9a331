"""Who may do what: bearer tokens, roles, scopes."""

import hashlib
import secrets
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from aiohttp import web

from gateway import schemas
from gateway.http.errors import ApiError

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


class Caller(NamedTuple):
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


def bearer_token(request: web.Request) -> str | None:
    """The token in the Authorization header, or None if the header does not follow RFC 6750."""
    sent = request.headers.getall("Authorization", ())
    if len(sent) != 1:
        return None
    scheme, _, token = sent[0].partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def unauthorized(token: str | None) -> ApiError:
    # RFC 6750, section 3: no error code when no token was sent.
    challenge, message = _REALM, "A bearer token is required."
    if token is not None:
        challenge += ', error="invalid_token"'
        message = "The bearer token is invalid or expired."
    return ApiError(401, schemas.Unauthorized(message=message), {"WWW-Authenticate": challenge})


def require_role(caller: Caller, roles: tuple[Role, ...]) -> None:
    """Raise ApiError 403 unless the caller has one of `roles`."""
    if caller.role not in roles:
        raise missing_role(roles, caller.role)


def require_scope(caller: Caller, scope: Scope) -> None:
    """Raise ApiError 403 unless the caller's token has `scope`."""
    if scope not in caller.scopes:
        raise missing_scope(scope, caller.scopes)


def missing_role(required: Iterable[Role], role: Role) -> ApiError:
    return ApiError(
        403,
        schemas.Forbidden(
            message=f"The role {role} may not do this.",
            details=schemas.MissingRole(required_roles=list(required), user_role=role),
        ),
    )


def missing_scope(required: Scope, scopes: Iterable[str]) -> ApiError:
    return ApiError(
        403,
        schemas.Forbidden(
            message=f"The token lacks the scope {required}.",
            details=schemas.MissingScope(required_scope=required, token_scopes=sorted(scopes)),
        ),
        # RFC 6750, section 3.1
        {"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{required}"'},
    )
