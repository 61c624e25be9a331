"""The models of the API. Responses and the OpenAPI document are made from them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypedDict
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from shared.commands import Text
from shared.states import CommandState, HostState, Outcome, RunStatus

API: Final = "/api/v1"
"""The path prefix of all operations."""

MAX_MESSAGE: Final = 500


class _Model(BaseModel):
    # Responses also contain fields that have a default.
    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_serialization_defaults_required=True
    )


# Run ids in paths can make a message longer than the contract allows.
Message = Annotated[
    str, BeforeValidator(lambda text: text[:MAX_MESSAGE]), Field(max_length=MAX_MESSAGE)
]


class CancelRequest(_Model):
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


class CancelAnswer(_Model):
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


class Evidence(_Model):
    """How the stop ended, how long it took, and the proof."""

    ended: str | None
    proof: str | None
    duration_ms: float | None


class WaitingFor(_Model):
    """The host whose worker will stop the run."""

    host: str
    host_state: HostState
    since: datetime = Field(
        description="If the host is `up`, the time of its last heartbeat; otherwise, the time at "
        "which it entered its state."
    )


class Cancellation(_Model):
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


class RunView(_Model):
    """A run and, if it was canceled or is being canceled, its cancellation."""

    run_id: int = Field(ge=1)
    status: RunStatus
    created_at: datetime
    started_at: datetime | None
    canceling_at: datetime | None
    finished_at: datetime | None
    exit_code: int | None
    error: str | None
    cancellation: Cancellation | None = Field(
        description="The cancellation that ended the run or will end it, never a later repeat. "
        "Null if no cancel has ended the run, and none will."
    )


class NoDetails(_Model):
    pass


class ErrorBody(_Model):
    """The envelope of every error."""

    code: str = Field(pattern="^[a-z0-9_]+$", max_length=100)
    message: Message
    details: Any


class AnyError(ErrorBody):
    """Any other error."""

    details: dict[str, Any] = Field(default_factory=dict)


class FieldProblems(_Model):
    fields: dict[str, str] = Field(
        description="The problems by field. If there are more than 20, only the first ones; the "
        "key `…` has the number of the others."
    )


class ValidationProblem(ErrorBody):
    code: Literal["validation_error"] = "validation_error"
    details: FieldProblems


class Unauthorized(ErrorBody):
    code: Literal["unauthorized"] = "unauthorized"
    details: NoDetails = NoDetails()


class MissingScope(_Model):
    required_scope: str
    token_scopes: list[str]


class MissingRole(_Model):
    required_roles: list[str]
    user_role: str


class Forbidden(ErrorBody):
    code: Literal["forbidden"] = "forbidden"
    details: MissingScope | MissingRole


class NoSuchRun(_Model):
    resource: Literal["run"] = "run"
    id: int = Field(ge=1)


class NotFound(ErrorBody):
    code: Literal["not_found"] = "not_found"
    details: NoSuchRun


class SpentBudget(_Model):
    retry_after: int = Field(ge=1, description="Seconds to wait before the next request.")
    limit: int
    window: str = Field(examples=["60s"])


class RateLimited(ErrorBody):
    code: Literal["rate_limited"] = "rate_limited"
    details: SpentBudget


class Unavailable(ErrorBody):
    code: Literal["unavailable"] = "unavailable"
    details: NoDetails = NoDetails()


class InternalError(ErrorBody):
    code: Literal["internal_error"] = "internal_error"
    details: NoDetails = NoDetails()
