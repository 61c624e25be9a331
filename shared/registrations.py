"""Registering runs: one statement for one run or a thousand, over HTTP, by message or command."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from shared.commands import GraceSeconds, RunId, in_utc, storable
from shared.errors import ServiceUnavailable
from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import StopScope, StopSignal

QUEUED_TYPE: Final = "ci.run.queued.v1"
MAX_LABELS: Final = 16
MAX_URL: Final = 2048

LabelKey = Annotated[
    str, Field(min_length=1, max_length=63, pattern=r"^[^\x00:]*$"), AfterValidator(storable)
]
LabelValue = Annotated[
    str,
    Field(max_length=255, json_schema_extra={"pattern": r"^[^\u0000]*$"}),
    AfterValidator(storable),
]
Labels = Annotated[
    dict[LabelKey, LabelValue],
    # Keys that match no pattern.
    Field(max_length=MAX_LABELS, json_schema_extra={"additionalProperties": False}),
]


class RunOptions(BaseModel):
    """What a run is registered with, except its id."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    grace_seconds: GraceSeconds | None = Field(
        None, description="The run's grace period; null for the worker's."
    )
    stop_signal: StopSignal = Field(StopSignal.SIGTERM, description="The first signal of a stop.")
    stop_scope: StopScope = Field(
        StopScope.TREE,
        description="The processes that get the stop signal: the whole tree, or its leader alone.",
    )
    labels: Labels = Field(
        default_factory=dict, description="A key has no colon.", examples=[{"branch": "main"}]
    )
    url: Annotated[str, Field(max_length=MAX_URL, pattern=r"^https?://[!-~]+$")] | None = Field(
        None, description="The run's page on the platform."
    )
    start_before: Annotated[AwareDatetime, AfterValidator(in_utc)] | None = Field(
        None, description="If the run has not started by then, it is canceled as expired."
    )


class Registration(RunOptions):
    """A run to be registered as queued."""

    run_id: RunId


class Registered(StrEnum):
    """The result of registering a run."""

    CREATED = "created"
    EXISTS = "exists"
    """It is on record with the same options, and queued."""
    STARTED = "started"
    """It is on record with the same options, and no longer queued."""
    CONFLICT = "conflict"
    """It is on record with other options."""


async def register(database: Database, runs: Sequence[Registration]) -> list[Registered]:
    """Register runs with distinct ids; each by itself. The results are in the same order.

    All are committed together. After ServiceUnavailable, the result is unknown: repeat the call.
    """
    results: dict[int, Registered] = {}
    waiting = list(runs)
    for _ in range(2):
        rows = await database.fetch(sql.registrations.REGISTER, *_columns(waiting))
        found = {run.run_id: row["result"] for run, row in zip(waiting, rows, strict=True)}
        results |= {run_id: Registered(it) for run_id, it in found.items() if it is not None}
        # Registered by somebody else between the snapshot and the insert: now it can be seen.
        waiting = [run for run in waiting if run.run_id not in results]
        if not waiting:
            return [results[run.run_id] for run in runs]
    raise ServiceUnavailable(f"run {waiting[0].run_id} was registered and removed meanwhile")


async def are_registered(database: Database, runs: Sequence[Registration]) -> list[bool]:
    """Whether each of these runs is on record with these options, in any state."""
    rows = await database.fetch(sql.registrations.ARE_REGISTERED, *_columns(runs)) if runs else []
    return [row["is_registered"] for row in rows]


def _columns(runs: Sequence[Registration]) -> Sequence[list[object]]:
    return (
        [run.run_id for run in runs],
        [run.grace_seconds for run in runs],
        [run.stop_signal for run in runs],
        [run.stop_scope for run in runs],
        [_json(run.labels) for run in runs],
        [run.url for run in runs],
        [run.start_before for run in runs],
    )


def _json(labels: Mapping[str, str]) -> str:
    return json.dumps(labels) if labels else "{}"


async def expire(database: Database, limit: int = 500) -> Sequence[int]:
    """Cancel queued runs whose `start_before` has passed, at most `limit`; their ids."""
    rows = await database.fetch(sql.registrations.EXPIRE, limit)
    return [row["run_id"] for row in rows]
