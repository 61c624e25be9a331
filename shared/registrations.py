"""Registering runs: one statement for one run or a thousand, over HTTP, by message or command."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from shared.commands import GraceSeconds, RunId, Text, in_utc, storable
from shared.errors import ServiceUnavailable
from shared.limits import MAX_LABELS, MAX_URL
from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import LeftoversPolicy, StopScope, StopSignal

QUEUED_TYPE: Final = "ci.run.queued.v1"

_KEY_PATTERN: Final = r"^[^\u0000:]*$"
_URL: Final = re.compile(r"https?://[!-~]+")
_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def _without_colon(key: str) -> str:
    if ":" in key:
        raise ValueError("must not contain a colon")
    return key


def is_web_address(url: str) -> bool:
    """Whether `url` is one that a run can be registered with, and a page may link to."""
    return _URL.fullmatch(url) is not None


def _web_address(url: str) -> str:
    if not is_web_address(url):
        raise ValueError("must be an http or https URL in ASCII, without spaces")
    return url


def _rfc_3339(time: object) -> object:
    """Pydantic alone also takes a number of seconds, and times without seconds."""
    if not isinstance(time, datetime) and not (isinstance(time, str) and _RFC_3339.fullmatch(time)):
        raise ValueError("must be a time with an offset, as in RFC 3339")
    return time


LabelKey = Annotated[
    str,
    Field(min_length=1, max_length=63),
    AfterValidator(_without_colon),
    AfterValidator(storable),
]
Labels = Annotated[
    dict[LabelKey, Text],
    Field(
        max_length=MAX_LABELS,
        json_schema_extra={
            "propertyNames": {"minLength": 1, "maxLength": 63, "pattern": _KEY_PATTERN}
        },
    ),
]
Url = Annotated[
    str,
    Field(max_length=MAX_URL, json_schema_extra={"pattern": f"^{_URL.pattern}$"}),
    AfterValidator(_web_address),
]
Time = Annotated[
    AwareDatetime, Field(strict=False), BeforeValidator(_rfc_3339), AfterValidator(in_utc)
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
    leftovers: LeftoversPolicy = Field(
        LeftoversPolicy.STOP,
        description="What happens to processes that the command leaves behind when it ends by "
        "itself: they are stopped, or they keep running.",
    )
    labels: Labels = Field(
        default_factory=dict, description="A key has no colon.", examples=[{"branch": "main"}]
    )
    url: Url | None = Field(None, description="The run's page on the platform.")
    start_before: Time | None = Field(
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
        [run.leftovers for run in runs],
    )


def _json(labels: Mapping[str, str]) -> str:
    return orjson.dumps(labels).decode() if labels else "{}"


async def expire(database: Database, limit: int = 500) -> Sequence[int]:
    """Cancel queued runs whose `start_before` has passed, at most `limit`; their ids."""
    rows = await database.fetch(sql.registrations.EXPIRE, limit)
    return [row["run_id"] for row in rows]
