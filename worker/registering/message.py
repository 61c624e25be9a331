"""Reads messages that register runs."""

from typing import Final

from pydantic import ConfigDict, ValidationError

from shared.registrations import QUEUED_TYPE, Registration
from shared.states import DeadReason
from worker.messages.conversion import Undeliverable, check
from worker.messages.json_body import Duplicates, first_problem, nested_too_deeply


class QueuedRun(Registration):
    """A run to be registered as queued.

    Unknown fields are ignored, so that publishers may be newer.
    """

    model_config = ConfigDict(extra="ignore")


_DUPLICATES: Final = Duplicates(QueuedRun.__name__, tuple(QueuedRun.model_fields))


def read_registration(kind: str | None, body: bytes, full_size: int | None = None) -> QueuedRun:
    """Read `body`, which came in a message of the type `kind`. Raises Undeliverable.

    `full_size` is the original size, if `body` is only the head.
    """
    check(QUEUED_TYPE, "a registration", kind, full_size)
    try:
        return read(body)
    except ValidationError as error:
        raise Undeliverable(DeadReason.MALFORMED, first_problem(error)) from None


def read(body: bytes) -> QueuedRun:
    """Parse a registration. Raises ValidationError."""
    try:
        run = QueuedRun.model_validate_json(body)
        _DUPLICATES.reject(body)
    except RecursionError:
        raise nested_too_deeply(QueuedRun.__name__) from None
    return run
