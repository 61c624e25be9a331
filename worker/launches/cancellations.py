"""What a launcher is told of the cancellation that ended its run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from asyncpg import Record

from shared.postgres import sql
from shared.postgres.database import Database


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Who asked for it and why, and how it ended. What is not on record is None.

    `outcome` and `ended` are text: a worker of another version may have written others than ours.
    """

    requested_by: str | None
    via: str
    reason: str | None
    outcome: str | None
    ended: str | None
    proof: str | None
    signal: str | None
    """The first that was sent."""
    duration_ms: float | None

    @classmethod
    def from_record(cls, row: Record) -> "Cancellation":
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})

    def as_json(self) -> dict[str, object]:
        return asdict(self)


async def find_ending(database: Database, run_ids: Sequence[int]) -> list[Cancellation | None]:
    """For each run, the cancellation that ended it or is to end it. Raises ServiceUnavailable."""
    rows = await database.fetch(sql.endings.FIND_ENDING_CANCELLATIONS, run_ids)
    found = {row["run_id"]: Cancellation.from_record(row) for row in rows}
    return [found.get(run_id) for run_id in run_ids]
