"""The evidence of a stop: signals, times, survivors, proof."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from shared.errors import RunCancelError
from shared.states import Containment, Proof, StopScope
from worker.processes.identity import ProcessStat


class Ended(StrEnum):
    """How a tree ended."""

    NEVER_STARTED = "never_started"
    ALREADY_GONE = "already_gone"
    OBEYED = "obeyed"
    KILLED = "killed"
    SURVIVED = "survived"
    NOT_PROVED = "not_proved"
    """No process of it was found, but one that may belong to it is alive."""


@dataclass(frozen=True, slots=True)
class SignalSent:
    signal: str
    at: str
    processes: int
    to: StopScope = StopScope.TREE


@dataclass(frozen=True, slots=True)
class Survivor:
    pid: int
    name: str
    state: str


@dataclass(frozen=True, slots=True)
class ContainerLeft:
    """A container that a command left running."""

    id: str
    name: str
    image: str


@dataclass(frozen=True, slots=True)
class ContainerEnd:
    """A container that was alive when the stop began, or came to life during it."""

    id: str
    name: str
    image: str
    signal: str | None
    """The last signal that it was sent; None if it ended by itself."""
    exit_code: int | None
    """None if the engine could not tell."""

    @property
    def ended(self) -> Ended:
        if self.signal is None:
            return Ended.ALREADY_GONE
        return Ended.KILLED if self.signal == "SIGKILL" else Ended.OBEYED


def named(stats: Iterable[ProcessStat]) -> tuple[Survivor, ...]:
    return tuple(Survivor(stat.identity.pid, stat.name, stat.state) for stat in stats)


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
    in_doubt: tuple[Survivor, ...] = ()
    """Processes that may belong to the run, so that there is no proof."""
    workers_ended: int | None = None
    """The number of workers that took up the stop without ending it."""
    containers: tuple[ContainerEnd, ...] = ()
    containers_alive: tuple[str, ...] = ()
    """The names of containers that survived, or what else of them is not gone: no proof."""
    engine_missing: bool = False
    """Whether the run has started containers, but this worker knows no Docker engine."""
    recorded_again_at: str | None = None
    """When it was recorded once more, because a failover of Postgres had undone that."""

    def as_json(self) -> dict[str, Any]:
        content = asdict(self)
        if self.recorded_again_at is None:
            del content["recorded_again_at"]
        return content


class StopFailed(RunCancelError):
    """Something outlived SIGKILL for as long as we wait, or may have; the evidence says what."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(why_failed(evidence.as_json()))
        self.evidence = evidence


def never_started() -> Evidence:
    return Evidence(Ended.NEVER_STARTED, Proof.NEVER_STARTED, proved_at=timestamp())


def why_failed(evidence: Mapping[str, Any]) -> str:
    """Why a stop has no proof, in words; `evidence` is the recorded JSON."""
    if number := evidence.get("workers_ended"):
        return f"the stop was taken up {number} times and never ended"
    if evidence.get("engine_missing"):
        return "the run has started containers, and CANCEL_DOCKER is not set"
    if containers := evidence.get("containers_alive"):
        return f"not all of its containers are proved gone: {', '.join(containers)}"
    if survivors := evidence.get("survivors"):
        return f"processes that survived SIGKILL: {len(survivors)}"
    if not (in_doubt := evidence.get("in_doubt")):
        return "an unidentified process survived SIGKILL"
    left = ", ".join(f"pid {each['pid']} {each['name']}" for each in in_doubt)
    return f"not proved: these processes may belong to the run: {left}"


def workers_ended(number: int) -> Evidence:
    """The stop was taken up `number` times and never ended."""
    return Evidence(Ended.NOT_PROVED, None, workers_ended=number)


def host_rebooted() -> Evidence:
    """No process outlives the kernel that ran it."""
    return Evidence(Ended.ALREADY_GONE, Proof.HOST_REBOOTED, proved_at=timestamp())


def found_empty() -> Evidence:
    """The cgroup of an unwatched run was found empty."""
    return Evidence(
        Ended.ALREADY_GONE,
        Proof.CGROUP_EMPTY,
        proved_at=timestamp(),
        containment=Containment.CGROUP,
    )


def out_of_sight(ran_in: str | None, seen_from: str) -> dict[str, object]:
    """The record of a run in another pid namespace, without a proof."""
    return {
        "ended": Ended.NOT_PROVED,
        "proof": None,
        "ran_in_namespace": ran_in,
        "seen_from_namespace": seen_from,
    }


def timestamp() -> str:
    """Now, in UTC, to the microsecond."""
    return datetime.now(UTC).isoformat()
