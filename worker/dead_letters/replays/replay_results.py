"""Results of replayed dead letters: an outcome, another dead letter, or neither yet."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from time import monotonic
from typing import Final, TypeVar
from uuid import UUID

from asyncpg import Record

from shared.errors import ServiceUnavailable
from shared.postgres import sql
from shared.postgres.database import Database
from shared.registrations import are_registered
from shared.states import DeadReason, Outcome
from worker.dead_letters.kinds import ReplayStatus
from worker.dead_letters.replays.replayed import ReplayedLetter
from worker.registering.message import QueuedRun

T = TypeVar("T")

_EVERY: Final = 0.5
"""Polling interval, seconds."""
_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Result:
    """`again` is the id of the new dead letter; `why` is what an undecided command waits for."""

    letter_id: int
    command_id: UUID | None
    run_id: int | None
    became: ReplayStatus
    outcome: str | None = None
    again: int | None = None
    reason: str | None = None
    error: str | None = None
    why: str | None = None


class ResultWatch:
    """Watches for the results of letters. It must be created before they are published."""

    def __init__(self, database: Database, latest: int, began: datetime) -> None:
        """`latest` is the last letter before the replay, `began` its time by Postgres' clock."""
        self._database = database
        self._latest = latest
        self._began = began
        self._undecided: dict[int, ReplayedLetter] = {}
        self._results: dict[int, Result] = {}

    @classmethod
    async def create(cls, database: Database) -> "ResultWatch":
        (row,) = await database.fetch(sql.dead_letters.LATEST)
        return cls(database, row["letter_id"], row["now"])

    def add(self, letter: ReplayedLetter) -> None:
        self._undecided[letter.letter_id] = letter

    @property
    def results(self) -> Mapping[int, Result]:
        """What is known so far, by letter."""
        return self._results

    async def look_ahead(self) -> None:
        """Look for results while letters are still being added. Raises ServiceUnavailable.

        A letter may be dead again before it is added, so no new letter counts as seen.
        """
        latest = self._latest
        while rows := await self._database.fetch(sql.dead_letters.LATER, latest, _PAGE):
            for row in rows:
                if before := self._undecided.get(row["replay_of"]):
                    self._conclude_dead_again(before, row)
            latest = rows[-1]["letter_id"]
        await self._look_for_outcomes()

    async def wait(
        self, seconds: float, stop: asyncio.Event, decided: Callable[[int], None]
    ) -> list[Result]:
        """Wait until all are decided, at most `seconds` or until `stop` is set.

        `decided` is called with the number so far. Outages of Postgres are ignored.
        """
        end = monotonic() + seconds
        while self._undecided:
            # Checked before the look, so that there is a last look at the end.
            is_last = stop.is_set() or monotonic() >= end
            with suppress(ServiceUnavailable):
                await self._look()
            decided(len(self._results))
            if is_last or not self._undecided:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(min(_EVERY, end - monotonic())):
                    await stop.wait()
        await self._explain()
        return [self._results[letter_id] for letter_id in sorted(self._results)]

    async def _look(self) -> None:
        # Letters first: a command's row keeps the outcome of an earlier delivery.
        await self._look_for_letters()
        await self._look_for_outcomes()

    async def _look_for_outcomes(self) -> None:
        for page in _pages([each for each in self._undecided.values() if each.command_id]):
            rows = await self._database.fetch(
                sql.dead_letters.OUTCOMES, [each.command_id for each in page]
            )
            outcomes = {(row["command_id"], row["run_id"]): row["outcome"] for row in rows}
            for each in page:
                outcome = outcomes.get((each.command_id, each.run_id))
                # A failed stop is taken up again: this outcome is that of the earlier stop, or
                # there will be a dead letter.
                if outcome not in (None, Outcome.STOP_FAILED):
                    self._conclude(each, ReplayStatus.SETTLED, outcome=outcome)
        await self._look_for_runs()

    async def _look_for_runs(self) -> None:
        asked = [(each, each.asks) for each in self._undecided.values()]
        for page in _pages([(each, run) for each, run in asked if isinstance(run, QueuedRun)]):
            found = await are_registered(self._database, [run for _, run in page])
            for (each, _), is_registered in zip(page, found, strict=True):
                if is_registered:
                    self._conclude(each, ReplayStatus.SETTLED, outcome="registered")

    async def _look_for_letters(self) -> None:
        """Keepers take turns, so no letter appears with an id below one that was already seen."""
        while rows := await self._database.fetch(sql.dead_letters.LATER, self._latest, _PAGE):
            same_body: dict[bytes, list[ReplayedLetter]] = {}
            # Which of equal letters is which does not show: the first of them goes first.
            for _, each in sorted(self._undecided.items()):
                same_body.setdefault(each.digest, []).append(each)
            for row in rows:
                before = self._undecided.get(row["replay_of"])
                # Without `replay_of`, the workers do not trust the user that published the replay.
                unnoted = same_body.get(row["digest"], []) if row["replay_of"] is None else []
                for each in [before] if before else self._known_by_body(unnoted):
                    self._conclude_dead_again(each, row)
            self._latest = rows[-1]["letter_id"]

    def _conclude_dead_again(self, each: ReplayedLetter, row: Record) -> None:
        self._conclude(
            each,
            ReplayStatus.DEAD_AGAIN,
            again=row["letter_id"],
            reason=row["reason"],
            error=row["error"],
        )

    def _known_by_body(self, same: Sequence[ReplayedLetter]) -> Sequence[ReplayedLetter]:
        """Which of `same` one new letter accounts for: all of a valid one, or else one of them."""
        open_still = [each for each in same if each.letter_id in self._undecided]
        return [each for each in open_still if each.asks is not None] or open_still[:1]

    async def _explain(self) -> None:
        """Record what the undecided letters wait for."""
        for page in _pages(list(self._undecided.values())):
            try:
                rows = await self._database.fetch(
                    sql.dead_letters.WAITS_FOR,
                    [each.letter_id for each in page],
                    [each.command_id for each in page],
                    [each.run_id for each in page],
                )
            except ServiceUnavailable as error:
                for each in page:
                    self._conclude(each, ReplayStatus.UNDECIDED, why=str(error))
                continue
            for row in rows:
                self._explain_one(self._undecided[row["letter_id"]], row)

    def _explain_one(self, each: ReplayedLetter, row: Record) -> None:
        match row["outcome"]:
            case Outcome.STOP_FAILED if row["finished_at"] > self._began:
                # Its letter is not stored yet, or dead letters stay in their queue.
                reason = DeadReason.STOP_FAILED
                self._conclude(
                    each, ReplayStatus.DEAD_AGAIN, reason=reason, error="the stop failed again"
                )
            case None | Outcome.STOP_FAILED:
                self._conclude(each, ReplayStatus.UNDECIDED, why=_why(each, row))
            case outcome:  # since the last look
                self._conclude(each, ReplayStatus.SETTLED, outcome=outcome)

    def _conclude(
        self,
        each: ReplayedLetter,
        became: ReplayStatus,
        *,
        outcome: str | None = None,
        again: int | None = None,
        reason: str | None = None,
        error: str | None = None,
        why: str | None = None,
    ) -> None:
        del self._undecided[each.letter_id]
        self._results[each.letter_id] = Result(
            each.letter_id,
            each.command_id,
            each.run_id,
            became,
            outcome,
            again,
            reason,
            error,
            why,
        )


def _why(each: ReplayedLetter, row: Record) -> str:
    run_id, status, host = row["run_id"], row["status"], row["host"]
    if run_id is None:
        return "it cannot be read, and will become a dead letter again"
    if isinstance(each.asks, QueuedRun):
        if status is None:
            return f"no worker has registered run {run_id} yet"
        return f"run {run_id} is on record with other options: it will become a dead letter again"
    if row["waits_as"] is not None:
        return (
            f"another dead letter has the same command: {row['waits_as']} ({row['waits_because']})"
        )
    if status is None:
        return f"run {run_id} is still unknown"
    where = ""
    if host is not None:
        where = f" on {host}"
        if row["seen_at"] is not None:
            where += f", last heartbeat at {row['seen_at'].astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    what = "its stop is still in progress" if row["is_open"] else "no worker has carried it out yet"
    return f"{what}: run {run_id} is {status}{where}"


def _pages(letters: Sequence[T]) -> Iterator[list[T]]:
    rest = iter(letters)
    while page := list(islice(rest, _PAGE)):
        yield page
