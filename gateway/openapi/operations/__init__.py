"""Each operation of the API: its path, its scope, and every answer with an example."""

from typing import Final

from gateway.openapi.operations.cancellations import (
    CANCEL_RUNS,
    GET_CANCELLATION,
    LIST_CANCELLATIONS,
)
from gateway.openapi.operations.cancels import CANCEL_RUN, FORCE_CANCEL_RUN
from gateway.openapi.operations.model import Operation
from gateway.openapi.operations.runs import GET_RUN

OPERATIONS: Final[tuple[Operation, ...]] = (
    CANCEL_RUN,
    FORCE_CANCEL_RUN,
    GET_RUN,
    LIST_CANCELLATIONS,
    GET_CANCELLATION,
    CANCEL_RUNS,
)
