"""A row, and the values that several have."""

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from tools.support.rows import Row

THEN: Final = "2026-01-02T03:04:05+00:00"
LATER: Final = "2026-01-02T03:05:06+00:00"
FAR: Final = "2999-01-01T00:00:00+00:00"
HOST: Final = "old"
ABANDONED_HOST: Final = "gone"
BOOT: Final = UUID(int=1)
"""A boot that is over."""
STEP: Final = 1000
"""Numbers of one schema's rows: those of schema 7 begin with 7000."""
REPLY: Final[Row] = {"reply_to": "amq.rabbitmq.reply-to.abc", "correlation_id": "c-1"}
LAST: Final = 10_000


@dataclass(frozen=True, slots=True)
class OldRow:
    """A row of the schemas from `since` to `until`. `becomes`: what migrations change in it."""

    table: str
    row: Row
    since: int = 1
    until: int = LAST
    becomes: Row = field(default_factory=dict)


def uuid(number: int) -> str:
    return str(UUID(int=number))
