"""The cancel command: one JSON object that names a run, but no process, host or path."""

from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from shared.limits import BIGINT_MAX, MAX_GRACE_SECONDS, MAX_TEXT

CANCEL_TYPE: Final = "ci.run.cancel.v1"
# Distinguishes commands over REST from those published directly.
GATEWAY_APP_ID: Final = "cancel-gateway"
MAX_BODY: Final = 64 * 1024
"""Bytes. A command has less than 4 KB; only the head of a larger body is kept."""
# asyncpg stores these two as -infinity and infinity, and then reads a time without an offset.
_INFINITE: Final = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


def storable(text: str) -> str:
    """`text`, if Postgres can store it."""
    if "\x00" in text:
        raise ValueError("must not contain NUL characters")
    return text


def in_utc(time: datetime) -> datetime:
    """`time` in UTC, if it can be expressed in it and stored as it is."""
    try:
        utc = time.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None
    if utc in _INFINITE:
        raise ValueError("is out of range")
    return utc


Text = Annotated[
    str,
    Field(max_length=MAX_TEXT, json_schema_extra={"pattern": r"^[^\u0000]*$"}),
    AfterValidator(storable),
]
RunId = Annotated[int, Field(ge=1, le=BIGINT_MAX)]
GraceSeconds = Annotated[float, Field(ge=0, le=MAX_GRACE_SECONDS, allow_inf_nan=False)]


class CancelCommand(BaseModel):
    """A request to cancel one run. Unknown fields are ignored, so that publishers may be newer."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    command_id: UUID
    run_id: RunId
    reason: Text | None = None
    requested_by: Text | None = None
    requested_at: Annotated[AwareDatetime, AfterValidator(in_utc)] | None = None
    force: bool = False
    grace_seconds: GraceSeconds | None = None
