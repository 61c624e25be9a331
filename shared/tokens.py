"""Bearer tokens as they are stored: who holds one, and what is kept of it."""

import hashlib
from enum import StrEnum


class Role(StrEnum):
    ADMIN = "admin"
    TESTER = "tester"
    CONTRIBUTOR = "contributor"
    USER = "user"


def token_hash(token: str) -> bytes:
    """What is stored of a token. No salt: a random 256-bit secret cannot be guessed."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
