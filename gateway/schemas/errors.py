"""Every error of the API has the envelope `code`, `message`, `details`."""

from typing import Any, Literal

from pydantic import Field

from gateway.schemas.model import Message, Model


class NoDetails(Model):
    pass


class ErrorBody(Model):
    """The envelope of every error."""

    code: str = Field(pattern="^[a-z0-9_]+$", max_length=100)
    message: Message
    details: Any


class AnyError(ErrorBody):
    """Any other error."""

    details: dict[str, Any] = Field(default_factory=dict)


class FieldProblems(Model):
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


class MissingScope(Model):
    required_scope: str
    token_scopes: list[str]


class MissingRole(Model):
    required_roles: list[str]
    user_role: str


class Forbidden(ErrorBody):
    code: Literal["forbidden"] = "forbidden"
    details: MissingScope | MissingRole


class NoSuchRun(Model):
    resource: Literal["run"] = "run"
    id: int = Field(ge=1)


class NotFound(ErrorBody):
    code: Literal["not_found"] = "not_found"
    details: NoSuchRun


class ConflictingRun(Model):
    resource: Literal["run"] = "run"
    id: int = Field(ge=1)
    reason: Literal["differs", "not_queued"] = Field(
        description="The run is on record with other options, or is no longer queued."
    )


class RunConflict(ErrorBody):
    code: Literal["conflict"] = "conflict"
    details: ConflictingRun


class SpentBudget(Model):
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
