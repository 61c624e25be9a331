"""Cancel requests, and the cancellations on record."""

from datetime import datetime
from enum import StrEnum
from typing import Literal, TypedDict
from uuid import UUID

from pydantic import ConfigDict, Field

from gateway.schemas.model import Message, Model
from shared.commands import Text
from shared.states import CommandState, HostState, Outcome


class CancelRequest(Model):
    """The body of a cancel request. Unknown keys are rejected."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"reason": "superseded by a newer commit"}, {}]},
    )

    reason: Text = Field("", description="Stored with the cancellation.")


class CancelStatus(StrEnum):
    ACCEPTED = "accepted"
    NO_OP = "no_op"
    REJECTED = "rejected"


class CancelAnswer(Model):
    """The cancel command is in the queue. This does not depend on the status of the run."""

    run_id: int = Field(ge=1)
    new_run_id: int | None = Field(description="Always null for this action.")
    action: Literal["cancel"]
    status: CancelStatus = Field(description="Never `rejected` with 202.")
    message: Message


class PlainCancelAnswer(TypedDict):
    """CancelAnswer as plain values: validation would cost time on nearly every request."""

    run_id: int
    new_run_id: None
    action: Literal["cancel"]
    status: CancelStatus
    message: str


class Evidence(Model):
    """How the stop ended, how long it took, and the proof."""

    ended: str | None
    proof: str | None
    duration_ms: float | None


class WaitingFor(Model):
    """The host whose worker will stop the run."""

    host: str
    host_state: HostState
    since: datetime = Field(
        description="If the host is `up`, the time of its last heartbeat; otherwise, the time at "
        "which it entered its state."
    )


class Cancellation(Model):
    """One cancel command and its result; `outcome` is null while the command is open."""

    command_id: UUID
    via: str = Field(description="`rest`, `direct` or `replay`.")
    requested_by: str | None
    reason: str | None
    received_at: datetime
    outcome: Outcome | None
    state: CommandState | None = Field(
        description="While the command is open: it waits for the worker of the run's host "
        "(`pending`), or the run is being stopped (`stopping`)."
    )
    waiting_for: WaitingFor | None = Field(description="What a `pending` command waits for.")
    finished_at: datetime | None
    evidence: Evidence
