"""Runs."""

from datetime import datetime

from pydantic import Field

from gateway.schemas.cancels import Cancellation
from gateway.schemas.model import Model
from shared.states import RunStatus


class RunView(Model):
    """A run and, if it was canceled or is being canceled, its cancellation."""

    run_id: int = Field(ge=1)
    status: RunStatus
    created_at: datetime
    started_at: datetime | None
    canceling_at: datetime | None
    finished_at: datetime | None
    labels: dict[str, str]
    url: str | None
    start_before: datetime | None
    expired: bool = Field(description="Whether the run was canceled because of `start_before`.")
    exit_code: int | None
    error: str | None
    cancellation: Cancellation | None = Field(
        description="The cancellation that ended the run or will end it, never a later repeat. "
        "Null if no cancel has ended the run, and none will."
    )


class RunList(Model):
    """A page of runs, newest first."""

    runs: list[RunView]
