"""What is on record of the processes and containers that a command left behind.

number             how many processes were found when the command had ended
found              the first of them: pid, name, state
containers_number  how many containers ran then
containers_found   the first of them: id, name, image
builds             whether an image was still being built
engine_missing     whether there may be containers, and no Docker engine told of them
kept               whether the run was registered to keep them
noticed_at         when they were found
deadline           the end of the grace period of their stop
ended, proof and what else a stop leaves in its evidence: once they have been stopped
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import structlog

from worker.evidence import Evidence, timestamp
from worker.stop.run_stopper import Left

log = structlog.get_logger(__name__)

Json = Mapping[str, Any]

_MOST_NAMED: Final = 20


def found(left: Left, *, kept: bool = False) -> Json:
    """The record of what was just found."""
    return {
        "number": len(left.processes),
        "found": [asdict(each) for each in left.processes[:_MOST_NAMED]],
        "containers_number": len(left.containers),
        "containers_found": [asdict(each) for each in left.containers[:_MOST_NAMED]],
        "kept": kept,
        "engine_missing": left.unseen,
        "builds": left.builds,
    }


def kept(left: Left) -> Json:
    """The record of what is kept."""
    return {**found(left, kept=True), "noticed_at": timestamp(), "ended": None, "proof": None}


def stopped(evidence: Evidence) -> Json:
    """What a stop adds to the record."""
    return evidence.as_json()


def log_kept(run_id: int, left: Left) -> None:
    log.info(
        "left_behind_kept",
        run_id=run_id,
        processes=len(left.processes),
        containers=len(left.containers),
    )
