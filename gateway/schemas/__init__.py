"""The models of the API. Responses and the OpenAPI document are made from them."""

from gateway.schemas.cancels import (
    CancelAnswer,
    Cancellation,
    CancelRequest,
    CancelStatus,
    Evidence,
    PlainCancelAnswer,
    WaitingFor,
)
from gateway.schemas.errors import (
    AnyError,
    ErrorBody,
    FieldProblems,
    Forbidden,
    InternalError,
    MissingRole,
    MissingScope,
    NoDetails,
    NoSuchRun,
    NotFound,
    RateLimited,
    SpentBudget,
    Unauthorized,
    Unavailable,
    ValidationProblem,
)
from gateway.schemas.model import (
    API,
    MAX_MESSAGE,
    Message,
)
from gateway.schemas.runs import (
    RunView,
)

__all__ = [
    "API",
    "MAX_MESSAGE",
    "AnyError",
    "CancelAnswer",
    "CancelRequest",
    "CancelStatus",
    "Cancellation",
    "ErrorBody",
    "Evidence",
    "FieldProblems",
    "Forbidden",
    "InternalError",
    "Message",
    "MissingRole",
    "MissingScope",
    "NoDetails",
    "NoSuchRun",
    "NotFound",
    "PlainCancelAnswer",
    "RateLimited",
    "RunView",
    "SpentBudget",
    "Unauthorized",
    "Unavailable",
    "ValidationProblem",
    "WaitingFor",
]
