"""Runs."""

from datetime import datetime

from pydantic import Field

from gateway.schemas.cancels import Cancellation
from gateway.schemas.model import Model
from shared.states import RunStatus


class LeftBehind(Model):
    """The processes and containers that a run's command left behind when it ended by itself."""

    number: int = Field(description="How many processes there were.")
    containers: int = Field(description="How many containers ran.")
    kept: bool = Field(description="Whether the run was registered to keep them.")
    ended: str | None = Field(
        description="How they ended: `obeyed`, `killed`, `survived` and so on. Null: they have not "
        "ended, as far as is known."
    )
    proof: str | None = Field(description="What proves that none is left; null: some may be.")


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
    expired: bool = Field(
        description="Whether the run was canceled because it did not start in time."
    )
    exit_code: int | None
    error: str | None
    left_behind: LeftBehind | None = Field(
        description="What its command left behind; null if nothing."
    )
    cancellation: Cancellation | None = Field(
        description="The cancellation that ended the run or will end it, never a later repeat. "
        "Null if no cancel has ended the run, and none will."
    )


class RunList(Model):
    """A page of runs, newest first."""

    runs: list[RunView]
