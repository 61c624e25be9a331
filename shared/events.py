"""The events that workers publish: their types, and the content of each.

Unknown fields are ignored, so that consumers may be older than workers.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.commands import RunId
from shared.states import LeftoversPolicy, Outcome, RunStatus, StopScope, StopSignal, Via

SOURCE: Final = "/run-cancel"
"""The `source` of each event."""
CONTENT_TYPE: Final = "application/cloudevents+json"


class EventType(StrEnum):
    """The routing key of each event."""

    RUN_REGISTERED = "run.registered"
    RUN_STARTED = "run.started"
    RUN_CANCELING = "run.canceling"
    RUN_FINISHED = "run.finished"
    RUN_REJECTED = "run.rejected"
    CANCEL_SETTLED = "cancel.settled"
    CANCEL_REJECTED = "cancel.rejected"

    @property
    def cloud_type(self) -> str:
        """The `type` of the CloudEvent."""
        return f"ci.{self.value}.v1"


class EventData(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RunRegistered(EventData):
    """A run is on record as queued."""

    run_id: RunId = Field(description="The run.")
    labels: dict[str, str] = Field(description="The run's labels.")
    url: str | None = Field(description="The run's page on the platform.")
    grace_seconds: float | None = Field(
        description="The run's own grace period, seconds; null for the default."
    )
    stop_signal: StopSignal = Field(description="The first signal of a stop.")
    stop_scope: StopScope = Field(description="The processes that get the stop signal.")
    leftovers: LeftoversPolicy = Field(
        description="What happens to processes that the command leaves behind."
    )
    start_before: AwareDatetime | None = Field(
        description="If the run has not started by then, it is canceled as expired."
    )


class RunStarted(EventData):
    """A launcher has claimed the run: its job starts."""

    run_id: RunId = Field(description="The run.")
    host: str = Field(description="The runner host.")


class RunCanceling(EventData):
    """The stop of the run has begun."""

    run_id: RunId = Field(description="The run.")
    host: str = Field(description="The runner host.")
    stop_deadline: AwareDatetime | None = Field(
        description="When the grace period ends, unless a forced command ends it earlier."
    )


class LeftBehind(EventData):
    """The processes and containers that a command left behind when it ended by itself."""

    number: int = Field(description="How many processes there were.")
    containers: int = Field(description="How many containers ran.")
    ended: str | None = Field(
        description="How they ended: `obeyed`, `killed`, `survived` and so on. Null: they were "
        "kept, and had not ended."
    )
    proof: str | None = Field(description="What proves that none is left; null: some may be.")


class RunFinished(EventData):
    """The run is over: its status is final."""

    run_id: RunId = Field(description="The run.")
    status: RunStatus = Field(description="`pass`, `fail`, `canceled` or `error`.")
    exit_code: int | None = Field(description="The exit code of its command, if that ended.")
    error: str | None = Field(description="Why it is `error`, in words.")
    proof: str | None = Field(description="If it is `canceled`: what proves that nothing is left.")
    ended: str | None = Field(
        description="How it ended. `exited`: by itself. If it is `canceled`: the `ended` of the "
        "evidence, or `expired`. If it is `error`: the cause of the loss."
    )
    left_behind: LeftBehind | None = Field(
        description="What its command left behind; null if nothing."
    )
    labels: dict[str, str] = Field(description="The run's labels.")
    url: str | None = Field(description="The run's page on the platform.")


class CancelSettled(EventData):
    """A cancel command has its outcome."""

    run_id: RunId = Field(description="The run.")
    command_id: UUID = Field(description="The command.")
    outcome: Outcome = Field(description="Its outcome.")
    requested_by: str | None = Field(description="Who asked for it, as its publisher says.")
    reason: str | None = Field(description="Why, as its publisher says.")
    via: Via = Field(description="How the command came in.")
    publisher: str | None = Field(description="The broker user that published it; null: unknown.")
    force: bool = Field(description="Whether it asked for no grace period.")
    ended: str | None = Field(description="How the processes ended, if it stopped any.")
    proof: str | None = Field(description="What proves that nothing is left.")
    duration_ms: float | None = Field(description="How long the stop took, milliseconds.")
    containers: int = Field(description="How many containers the stop ended.")


class Rejected(EventData):
    """A message was not carried out: it is a dead letter."""

    letter_id: int = Field(description="The number of the dead letter.")
    run_id: RunId | None = Field(description="The run that it names, if that can be read.")
    command_id: UUID | None = Field(description="Its command id, if that can be read.")
    reason: str = Field(description="Why it is dead, as a code.")
    error: str = Field(description="Why it is dead, in words.")
    requested_by: str | None = Field(description="Who asked for it, as its publisher says.")
    via: Via = Field(description="How the message came in.")
    publisher: str | None = Field(description="The broker user that published it; null: unknown.")


class RunRejected(Rejected):
    """A registration was not carried out: it is a dead letter."""


class CancelRejected(Rejected):
    """A cancel command, or a message that is none, was not carried out: it is a dead letter."""


DATA: Final[Mapping[EventType, type[EventData]]] = MappingProxyType(
    {
        EventType.RUN_REGISTERED: RunRegistered,
        EventType.RUN_STARTED: RunStarted,
        EventType.RUN_CANCELING: RunCanceling,
        EventType.RUN_FINISHED: RunFinished,
        EventType.RUN_REJECTED: RunRejected,
        EventType.CANCEL_SETTLED: CancelSettled,
        EventType.CANCEL_REJECTED: CancelRejected,
    }
)
"""The model of the `data` of each type."""


class Event(BaseModel):
    """A CloudEvent 1.0 in structured mode; `data` is by its type."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: str = Field("1.0", description="The version of CloudEvents.")
    id: str = Field(description="The same if the event is sent again.")
    source: str = Field(SOURCE, description="Always the same.")
    type: str = Field(description="The type and its major version.")
    time: AwareDatetime = Field(description="When it happened.")
    datacontenttype: str = Field("application/json", description="Always the same.")
    subject: str | None = Field(
        None, description="The id of the run; missing if the event names none."
    )
    sequence: str | None = Field(
        None,
        description="Twenty digits, higher for each later event of a run, with gaps. Missing in "
        "the reply to a repeated command.",
    )
    data: dict[str, object] = Field(description="The content, by type.")


def event_json(
    kind: EventType,
    event_id: str,
    run_id: int | None,
    at: datetime,
    data: Mapping[str, object],
    *,
    number: int | None = None,
) -> bytes:
    """A CloudEvent as JSON. `number` becomes its `sequence`."""
    event = Event(
        id=event_id,
        type=kind.cloud_type,
        time=at,
        subject=None if run_id is None else str(run_id),
        # A text that sorts like the number (CloudEvents, "Sequence").
        sequence=None if number is None else f"{number:020d}",
        data=dict(data),
    )
    return event.model_dump_json(exclude_none=True).encode()
