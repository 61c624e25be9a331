"""What is kept of a stop: what was sent to whom and when, what was left, and why we are sure."""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from shared.states import Containment, Proof


class Ended(StrEnum):
    """How a tree came to its end."""

    NEVER_STARTED = "never_started"
    ALREADY_GONE = "already_gone"
    OBEYED = "obeyed"
    KILLED = "killed"
    SURVIVED = "survived"


@dataclass(frozen=True, slots=True)
class SignalSent:
    signal: str
    at: str
    processes: int


@dataclass(frozen=True, slots=True)
class Survivor:
    pid: int
    name: str
    state: str


@dataclass(frozen=True, slots=True)
class Evidence:
    ended: Ended
    proof: Proof | None
    proved_at: str | None = None
    containment: Containment | None = None
    duration_ms: float = 0.0
    signals: tuple[SignalSent, ...] = ()
    escaped: tuple[Survivor, ...] = ()
    survivors: tuple[Survivor, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def never_started() -> Evidence:
    return Evidence(Ended.NEVER_STARTED, Proof.NEVER_STARTED, proved_at=timestamp())


def host_rebooted() -> Evidence:
    """No process outlives the kernel that ran it."""
    return Evidence(Ended.ALREADY_GONE, Proof.HOST_REBOOTED, proved_at=timestamp())


def timestamp() -> str:
    """Now, in UTC, to the microsecond."""
    return datetime.now(UTC).isoformat()
