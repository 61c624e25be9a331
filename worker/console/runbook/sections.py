"""Which section of the runbook tells what to do about what a page shows."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from shared.services.checks import Service
from shared.states import DeadReason
from worker.console.runbook.anchors import anchor_of

ADDRESS: Final = "/runbook"


class Section(StrEnum):
    """Sections by their headings."""

    STOP_FAILED = "CancelStopFailed"
    STOP_OVERDUE = "CancelStopOverdue"
    COMMAND_WAITING = "CancelCommandWaiting"
    HOST_SILENT = "CancelHostSilent"
    HOST_LOST = "A host is lost"
    LETTERS_WAITING = "CancelDeadLettersWaiting"
    LETTERS_NOT_KEPT = "CancelDeadLettersNotKept"
    QUEUE_POLICY = "CancelQueuePolicy"
    REDELIVERIES = "CancelRedeliveries"
    INTERNAL_ERROR = "CancelInternalError"
    QUEUE_NOT_CONSUMED = "CancelQueueNotConsumed"
    QUEUE_BACKLOG = "CancelQueueBacklog"
    POSTGRES = "Postgres is unavailable or full"
    RABBITMQ = "RabbitMQ is unavailable or has an alarm"
    ENGINE_HANGS = "The Docker engine hangs"
    REPLAY = "Replay after an incident"

    @property
    def address(self) -> str:
        return f"{ADDRESS}#{anchor_of(self.value)}"


OF_SERVICE: Final[Mapping[Service, Section]] = {
    Service.POSTGRES: Section.POSTGRES,
    Service.RABBITMQ: Section.RABBITMQ,
}

_OF_LETTER: Final[Mapping[str, Section]] = {
    DeadReason.STOP_FAILED: Section.STOP_FAILED,
    DeadReason.HOST_ABANDONED: Section.HOST_LOST,
    DeadReason.INTERNAL_ERROR: Section.INTERNAL_ERROR,
    DeadReason.DELIVERY_LIMIT: Section.REDELIVERIES,
    DeadReason.EXPIRED: Section.QUEUE_POLICY,
    DeadReason.MAXLEN: Section.QUEUE_POLICY,
}


def of_letter(reason: str) -> Section:
    """The section about letters with this reason."""
    return _OF_LETTER.get(reason, Section.LETTERS_WAITING)
