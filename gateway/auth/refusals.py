"""The responses to requests that are not admitted."""

from collections.abc import Iterable
from math import ceil
from typing import Final

from gateway import schemas
from gateway.auth.access import Scope
from gateway.http.errors import ApiError
from shared.tokens import Role

_REALM: Final = 'Bearer realm="run-cancel"'


def unauthorized(token: str | None) -> ApiError:
    # RFC 6750, section 3: no error code when no token was sent.
    challenge, message = _REALM, "A bearer token is required."
    if token is not None:
        challenge += ', error="invalid_token"'
        message = "The bearer token is invalid, expired or revoked."
    return ApiError(401, schemas.Unauthorized(message=message), {"WWW-Authenticate": challenge})


def rate_limited(limit: int, window: int, resets_in: float) -> ApiError:
    """More than `limit` requests in `window` seconds, of which `resets_in` are left."""
    retry_after = max(1, ceil(resets_in))
    return ApiError(
        429,
        schemas.RateLimited(
            message=f"More than {limit} requests in {window} s; try again in {retry_after} s.",
            details=schemas.SpentBudget(retry_after=retry_after, limit=limit, window=f"{window}s"),
        ),
        {"Retry-After": str(retry_after)},
    )


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
