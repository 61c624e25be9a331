"""Who may do what: bearer tokens, roles, scopes."""

import secrets
from enum import StrEnum
from typing import Final, NamedTuple

from shared.tokens import Role

TOKEN_PREFIX: Final = "rct_"


class Scope(StrEnum):
    RUNS_READ = "runs:read"
    RUNS_WRITE = "runs:write"
    RUNS_FORCE = "runs:force"
    """Cancel without a grace period."""
    RUNS_REGISTER = "runs:register"
    RUNS_BULK = "runs:bulk"
    """Cancel many runs with one request."""


DEFAULT_SCOPES: Final = (Scope.RUNS_READ, Scope.RUNS_WRITE)
"""The scopes of a token that is created without any."""
MAY_CANCEL: Final = (Role.ADMIN, Role.TESTER, Role.CONTRIBUTOR)


class Caller(NamedTuple):
    """The holder of a valid token."""

    subject: str
    role: Role
    scopes: frozenset[str]


def new_token() -> str:
    """An opaque token of 256 random bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)
