"""Registering runs: requests and answers."""

from typing import Annotated, Any, Final, Literal, TypedDict

from pydantic import ConfigDict, Field

from gateway.schemas.model import Model
from shared.limits import BIGINT_MAX
from shared.registrations import Registered, Registration, RunOptions

MAX_RUNS: Final = 1000

_OPTIONS: Final[dict[str, Any]] = {
    "grace_seconds": 30,
    "labels": {"branch": "main", "commit": "6f1d3c5"},
    "url": "https://ci.example/runs/4711",
}


class RegisterRequest(RunOptions):
    """The options of a run. Unknown keys are rejected."""

    model_config = ConfigDict(json_schema_extra={"examples": [_OPTIONS, {}]})


class RegisterRuns(Model):
    """Runs to be registered, each by itself. Unknown keys are rejected."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"runs": [{"run_id": 4711, **_OPTIONS}]}]},
    )

    # What is no registration is kept as it is, to be answered as invalid without the others.
    runs: list[Annotated[Registration | Any, Field(union_mode="left_to_right")]] = Field(
        min_length=1,
        max_length=MAX_RUNS,
        description="What is not a valid registration gets the result `invalid`.",
    )


class RunRegistered(Model):
    """The run is on record as queued, with these options."""

    run_id: int = Field(ge=1)
    result: Literal[Registered.CREATED, Registered.EXISTS]


class RunResult(Model):
    """What became of one run of a request."""

    run_id: int = Field(ge=1, le=BIGINT_MAX)
    result: Literal[Registered.CREATED, Registered.EXISTS, Registered.CONFLICT] = Field(
        description="`conflict`: it is on record with other options, or no longer queued."
    )


class InvalidRun(Model):
    """A run of a request that cannot be registered as it is."""

    run_id: int | None = Field(description="As in the request; null if it has no integer there.")
    result: Literal["invalid"] = "invalid"
    fields: dict[str, str] = Field(description="The problems by field.")


class RegisterResults(Model):
    """The results, in the order of the request."""

    results: list[RunResult | InvalidRun]


class PlainRunResult(TypedDict):
    """RunResult as plain values: validation would cost time for each run."""

    run_id: int
    result: Registered


class PlainInvalidRun(TypedDict):
    """InvalidRun as plain values."""

    run_id: int | None
    result: Literal["invalid"]
    fields: dict[str, str]
