"""What stops found and proved: processes, containers, and the proof in words."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.states import Containment, Proof
from worker.runs.descriptions import containers, remains
from worker.runs.timeline import signals

Json = Mapping[str, Any]

_PROOFS: Final[Mapping[str, str]] = {
    Proof.NEVER_STARTED: "It never started, so it has no process.",
    Proof.CGROUP_EMPTY: "Its cgroup is empty: the kernel knows of no process of it.",
    Proof.SCANS_EMPTY: "Repeated scans of /proc found no process of it.",
    Proof.ENGINE_REPORTED: "Its processes are gone; that none of its containers is left, the "
    "Docker engine says.",
    Proof.HOST_REBOOTED: "Its host was rebooted, and no process outlives that.",
    "none_container_lost": "There will be no proof: its worker's container was replaced.",
    "none_host_replaced": "There will be no proof: its host was replaced.",
    "not_recorded": "It was canceled by a version that kept no proof.",
}
_HELD: Final[Mapping[str, str]] = {
    Containment.CGROUP: "in a cgroup of its own",
    Containment.SESSION: "in a session of its own, without a cgroup",
}


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    name: str
    state: str
    what: str


@dataclass(frozen=True, slots=True)
class Found:
    """What one stop found."""

    title: str
    signaled: Sequence[str]
    processes: Sequence[Process]
    containers: Sequence[str]
    proof: str | None
    """The proof in words; None if there is none."""
    held: str | None
    proved_at: str | None
    remains: str | None
    """What a failed stop left."""


def found_by_stops(run: Json) -> list[Found]:
    """What is known from each stop, and from the search after a loss; the oldest first."""
    seen: set[str] = set()
    found = []
    for title, evidence in _evidence(run):
        # Several commands share the evidence of one stop.
        key = repr((evidence.get("signals"), evidence.get("proved_at"), [*_named(evidence)]))
        if key not in seen:
            seen.add(key)
            found.append(_found(title, evidence))
    return found


def raw(record: object) -> str:
    """A record as it is stored."""
    return json.dumps(record, indent=2, ensure_ascii=False)


def _evidence(run: Json) -> Iterator[tuple[str, Json]]:
    if run["left_behind"]:
        yield "What its command left behind", run["left_behind"]
    if run["loss"]:
        yield "The search after its loss", run["loss"]
    for number, command in enumerate(run["cancellations"], 1):
        evidence = command["evidence"]
        if earlier := evidence.get("earlier"):
            yield f"Cancel {number}, an earlier stop", earlier
        if "ended" in evidence:
            yield f"Cancel {number}", evidence


def _found(title: str, evidence: Json) -> Found:
    proof = evidence.get("proof")
    has_failed = proof is None and any(
        evidence.get(key)
        for key in ("survivors", "in_doubt", "containers_alive", "workers_ended", "engine_missing")
    )
    return Found(
        title,
        [what for _, _, what in signals(evidence)],
        list(_named(evidence)),
        list(containers(evidence)),
        None if proof is None else _PROOFS.get(proof, proof),
        _HELD.get(evidence.get("containment") or ""),
        evidence.get("proved_at"),
        remains(evidence) if has_failed else None,
    )


def _named(evidence: Json) -> Iterator[Process]:
    for key, what in (
        ("found", "left behind by the command"),
        ("escaped", "was found outside the cgroup"),
        ("survivors", "survived SIGKILL"),
        ("in_doubt", "may belong to the run"),
    ):
        for each in evidence.get(key) or ():
            yield Process(each["pid"], each["name"], each["state"], what)
