"""Cancel requests, and the cancellations on record."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, Self, TypedDict
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from gateway.schemas.model import Message, Model
from shared.commands import RunId, Text
from shared.limits import MAX_LABELS
from shared.registrations import LabelKey
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
    containers: int = Field(description="How many containers the stop ended.")


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
    force: bool = Field(description="Whether it asked for no grace period.")
    received_at: datetime
    outcome: Outcome | None
    state: CommandState | None = Field(
        description="While the command is open: it waits for the worker of the run's host "
        "(`pending`), or the run is being stopped (`stopping`)."
    )
    waiting_for: WaitingFor | None = Field(description="What a `pending` command waits for.")
    finished_at: datetime | None
    evidence: Evidence


class Cancellations(Model):
    """The cancel commands on a run, oldest first."""

    cancellations: list[Cancellation]


MAX_BULK: Final = 500
"""The most runs that one request cancels."""


# pydantic's own allows any key that does not match the pattern.
_LABELS_SCHEMA: Final = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": MAX_LABELS,
    "propertyNames": {"minLength": 1, "maxLength": 63, "pattern": r"^[^\u0000:]*$"},
    "additionalProperties": {"type": "string", "maxLength": 255, "pattern": r"^[^\u0000]*$"},
}


def _distinct(run_ids: list[int]) -> list[int]:
    if len(set(run_ids)) != len(run_ids):
        raise ValueError("must name each run only once")
    return run_ids


class BulkCancelRequest(Model):
    """The runs to cancel: exactly one of `run_ids`, or `labels` with `before_run`."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        # No oneOf for the two forms: generators of clients stumble over it.
        json_schema_extra={
            "examples": [
                {"run_ids": [4711, 4712]},
                {
                    "labels": {"branch": "main", "repository": "web"},
                    "before_run": 4713,
                    "reason": "superseded by a newer commit",
                },
            ],
        },
    )

    run_ids: Annotated[
        list[RunId],
        Field(min_length=1, max_length=MAX_BULK, json_schema_extra={"uniqueItems": True}),
        AfterValidator(_distinct),
    ] = Field(default_factory=list)
    labels: Annotated[
        dict[LabelKey, Text],
        Field(min_length=1, max_length=MAX_LABELS),
        WithJsonSchema(_LABELS_SCHEMA),
    ] = Field(default_factory=dict, description="The run has all of them.")
    before_run: RunId = Field(default_factory=int, description="Runs with a lower id.")
    reason: Text = Field("", description="Stored with each cancellation.")

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = self.model_fields_set - {"reason"}
        if given not in ({"run_ids"}, {"labels", "before_run"}):
            raise ValueError("must have either run_ids, or labels and before_run")
        return self


class BulkStatus(StrEnum):
    ACCEPTED = "accepted"
    NO_OP = "no_op"
    NOT_FOUND = "not_found"
    UNAVAILABLE = "unavailable"


class BulkResult(Model):
    run_id: int = Field(ge=1)
    status: BulkStatus = Field(
        description="`accepted` and `no_op` as for a single cancel. `unavailable`: the command may "
        "or may not be in the queue; a repeat is safe."
    )
    command_id: UUID | None = Field(description="Null if the run does not exist.")


class BulkCancelAnswer(Model):
    """One result for each run, in the order of `run_ids`, or by run id."""

    results: list[BulkResult]
    matched: int = Field(
        ge=0,
        description="The number of runs that exist and were asked for. If it is more than the "
        "results, repeat the request.",
    )
