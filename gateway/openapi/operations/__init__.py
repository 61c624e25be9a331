"""Each operation of the API: its path, its scope, and every answer with an example."""

from typing import Final

from gateway.openapi.operations.cancels import CANCEL_RUN
from gateway.openapi.operations.model import Operation
from gateway.openapi.operations.registering import POST_RUNS, PUT_RUN
from gateway.openapi.operations.runs import GET_RUN, LIST_RUNS

OPERATIONS: Final[tuple[Operation, ...]] = (CANCEL_RUN, GET_RUN, LIST_RUNS, PUT_RUN, POST_RUNS)
