"""The cancellation that ended a run, for its launcher."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from asyncpg import Record

from shared.postgres import sql
from shared.postgres.database import Database


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Who asked for it and why, and how it ended. Unknown values are None.

    `outcome` and `ended` are text: a worker of another version may have written other values.
    """

    requested_by: str | None
    via: str
    reason: str | None
    outcome: str | None
    ended: str | None
    proof: str | None
    signal: str | None
    """The first signal that was sent."""
    duration_ms: float | None

    @classmethod
    def from_record(cls, row: Record) -> "Cancellation":
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})

    def as_json(self) -> dict[str, object]:
        return asdict(self)


async def find_ending(database: Database, run_ids: Sequence[int]) -> list[Cancellation | None]:
    """For each run, the cancellation that ended or will end it. Raises ServiceUnavailable."""
    rows = await database.fetch(sql.endings.FIND_ENDING_CANCELLATIONS, run_ids)
    found = {row["run_id"]: Cancellation.from_record(row) for row in rows}
    return [found.get(run_id) for run_id in run_ids]
