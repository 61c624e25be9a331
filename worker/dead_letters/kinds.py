"""What a dead letter asked for, to cancel a run or to register one; and what became of it."""

from enum import StrEnum
from typing import Final

from shared.amqp.keys import QUEUED_KEY

OF_PUBLISHER: Final = "the expiration of its publisher"
"""In the error of a letter that had an expiration of its own when its time in a queue was over."""


class ReplayStatus(StrEnum):
    SETTLED = "settled"
    DEAD_AGAIN = "dead_again"
    UNDECIDED = "undecided"


def is_registration(routing_key: str) -> bool:
    """Whether a letter that was first published with `routing_key` is a registration.

    The key decides, because the type may be what is wrong. The trigger that writes the event of a
    letter decides in the same way.
    """
    return routing_key == QUEUED_KEY


def kind_of(routing_key: str) -> str:
    return "registration" if is_registration(routing_key) else "cancel"
