"""Who is signed in. In memory: after a restart, operators sign in again."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final

LIFETIME: Final = 12 * 3600.0
"""Seconds after which an operator has to sign in again."""
_MOST: Final = 1000
"""Sessions at a time. Beyond it, the oldest ones end."""


@dataclass(frozen=True, slots=True)
class Session:
    token_id: int
    subject: str
    csrf: str
    """What each form must contain."""
    began_at: float


class Sessions:
    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._sessions: dict[bytes, Session] = {}

    def begin(self, token_id: int, subject: str) -> str:
        """Begin a session; the secret for its cookie."""
        secret = secrets.token_urlsafe(32)
        self._end_old()
        while len(self._sessions) >= _MOST:
            self._sessions.pop(next(iter(self._sessions)))
        csrf = secrets.token_urlsafe(32)
        self._sessions[_key(secret)] = Session(token_id, subject, csrf, self._clock())
        return secret

    def find(self, secret: str) -> Session | None:
        self._end_old()
        return self._sessions.get(_key(secret))

    def end(self, secret: str) -> None:
        self._sessions.pop(_key(secret), None)

    def _end_old(self) -> None:
        late = self._clock() - LIFETIME
        for key, session in list(self._sessions.items()):  # the oldest first
            if session.began_at > late:
                break
            del self._sessions[key]


def _key(secret: str) -> bytes:
    # A lookup by hash takes the same time for any wrong secret.
    return hashlib.sha256(secret.encode(errors="surrogateescape")).digest()
