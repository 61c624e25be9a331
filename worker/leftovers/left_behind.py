"""What is on record of the processes that a command left behind.

number        how many were found when the command had ended
found         the first of them: pid, name, state
kept          whether the run was registered to keep them
noticed_at    when they were found
deadline      the end of the grace period of their stop
ended, proof and what else a stop leaves in its evidence: once they have been stopped
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from worker.evidence import Evidence, Survivor, timestamp

Json = Mapping[str, Any]

_MOST_NAMED: Final = 20


def found(processes: Sequence[Survivor], *, kept: bool = False) -> Json:
    """The record of processes that were just found."""
    return {
        "number": len(processes),
        "found": [asdict(each) for each in processes[:_MOST_NAMED]],
        "kept": kept,
    }


def kept(processes: Sequence[Survivor]) -> Json:
    """The record of processes that are kept."""
    return {**found(processes, kept=True), "noticed_at": timestamp(), "ended": None, "proof": None}


def stopped(evidence: Evidence) -> Json:
    """What a stop adds to the record."""
    return evidence.as_json()
