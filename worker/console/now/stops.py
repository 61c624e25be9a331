"""A stop in progress."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from shared.postgres.sql.statistics import OVERDUE_AFTER
from shared.states import HostState, Outcome

_OVERDUE_AFTER: Final = timedelta(seconds=OVERDUE_AFTER)


class Phase(StrEnum):
    """In words."""

    GRACE = "grace period"
    KILLING = "killing"
    WAITING = "waits for its host"
    """Nobody carries the stop on."""
    OVERDUE = "overdue"
    FAILED = "stop failed"
    """It goes on when its dead letter is replayed, or with a new cancel."""

    @property
    def is_bad(self) -> bool:
        return self in (Phase.WAITING, Phase.OVERDUE, Phase.FAILED)


@dataclass(frozen=True, slots=True)
class StopNow:
    run_id: int
    since: datetime
    deadline: datetime
    phase: Phase
    host: str
    host_state: HostState
    host_since: datetime
    """Since when it is not up."""
    requested_by: str | None
    reason: str | None

    @classmethod
    def of(cls, row: Mapping[str, Any], now: datetime) -> "StopNow":
        """A row of `sql.now.STOPS`."""
        host_state = HostState(row["host_state"])
        return cls(
            run_id=row["run_id"],
            since=row["canceling_at"],
            deadline=row["stop_deadline"],
            phase=_phase(row["outcome"], host_state, row["stop_deadline"], now),
            host=row["host"],
            host_state=host_state,
            host_since=row["host_since"],
            requested_by=row["requested_by"],
            reason=row["reason"],
        )


def _phase(outcome: str | None, host: HostState, deadline: datetime, now: datetime) -> Phase:
    if outcome == Outcome.STOP_FAILED:
        return Phase.FAILED
    if host != HostState.UP:
        return Phase.WAITING
    if now < deadline:
        return Phase.GRACE
    return Phase.KILLING if now < deadline + _OVERDUE_AFTER else Phase.OVERDUE
