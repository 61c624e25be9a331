"""Replays and discards that run in this console, until they end or it is stopped."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NoReturn

import structlog
from asyncpg import PostgresError, Record

from shared.aio.tasks import end
from shared.errors import PublishRefused, ServiceUnavailable, UserError
from shared.postgres.database import Database
from worker.dead_letters import discarding
from worker.dead_letters import store as letter_store
from worker.dead_letters.bodies.editing import Edited
from worker.dead_letters.replays.replay import Options, Replayer, Summary
from worker.dead_letters.replays.replay_results import Result, ResultWatch
from worker.dead_letters.replays.replayed import replayed, replayed_edited
from worker.dead_letters.selection import Chosen, as_filter, select
from worker.dead_letters.wanted import LetterState

log = structlog.get_logger(__name__)

MOST_AT_ONCE: Final = 3
MOST_WATCHED: Final = 10_000
"""Letters of one replay whose results are awaited."""
WATCHED_FOR: Final = 900.0
"""Seconds after the last letter was sent: longer than any grace period."""
_LOOK_EVERY: Final = 1.0  # seconds
_MOST_KEPT: Final = 20
"""Ended works that are remembered."""


class Kind(StrEnum):
    REPLAY = "replay"
    EDIT = "edit"
    DISCARD = "discard"


class Phase(StrEnum):
    WORKING = "working"
    """Letters are being sent or discarded."""
    WATCHING = "watching"
    """All were sent, and results are awaited."""
    ENDED = "ended"


@dataclass(slots=True)
class Work:
    """What an operator has begun, and how far it is."""

    kind: Kind
    by: str
    chosen: Chosen
    rate: float | None = None
    note: str | None = None
    work_id: str = field(default_factory=lambda: secrets.token_hex(6))
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended_at: datetime | None = None
    phase: Phase = Phase.WORKING
    total: int = 0
    done: int = 0
    """Letters that were sent, or looked at for a discard."""
    discarded: int = 0
    summary: Summary = field(default_factory=Summary)
    results: Mapping[int, Result] = field(default_factory=dict)
    watched: int = 0
    problem: str | None = None
    """Why it ended before it was done."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    letters: tuple[int, ...] = ()
    """The letters that are being edited, so that nobody does the same at once."""

    @property
    def is_over(self) -> bool:
        return self.phase is Phase.ENDED


class Works:
    def __init__(self, database: Database, replayer: Replayer) -> None:
        self._database = database
        self._replayer = replayer
        self._works: dict[str, Work] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_ending = False

    def find(self, work_id: str) -> Work | None:
        return self._works.get(work_id)

    def recent(self) -> list[Work]:
        """The newest first."""
        return list(reversed(self._works.values()))

    def replay(self, chosen: Chosen, options: Options) -> Work:
        """Begin to replay. Raises UserError if too much is going on."""
        work = Work(Kind.REPLAY, options.by, chosen, rate=options.rate)
        return self._begin(work, lambda: self._replay(work, options))

    def edit(self, letter: Record, edited: Edited, by: str) -> Work:
        """Begin to replay a letter with another body. Raises UserError if it is under way."""
        letter_id: int = letter["letter_id"]
        if any(letter_id in work.letters for work in self._under_way()):
            raise UserError(f"letter {letter_id} is being replayed right now; nothing was sent")
        work = Work(Kind.EDIT, by, [letter_id], total=1, letters=(letter_id,))
        return self._begin(work, lambda: self._edit(work, letter, edited))

    def discard(self, chosen: Chosen, by: str, note: str | None) -> Work:
        """Begin to discard. Raises UserError if too much is going on."""
        work = Work(Kind.DISCARD, by, chosen, note=note)
        return self._begin(work, lambda: self._discard(work))

    async def end(self) -> None:
        """Stop all. Letters in flight are finished; those after them stay as they are."""
        self._is_ending = True
        for work in self._under_way():
            work.stop.set()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _under_way(self) -> Iterable[Work]:
        return [work for work in self._works.values() if not work.is_over]

    def _begin(self, work: Work, do: Callable[[], Awaitable[None]]) -> Work:
        under_way = [each for each in self._under_way() if each.phase is Phase.WORKING]
        if len(under_way) >= MOST_AT_ONCE:
            raise UserError(
                f"{MOST_AT_ONCE} replays or discards are under way in this console; "
                "wait until one has ended, or stop one"
            )
        self._forget_old()
        self._works[work.work_id] = work
        task = asyncio.get_running_loop().create_task(self._do(work, do))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return work

    def _forget_old(self) -> None:
        over = [work for work in self._works.values() if work.is_over]
        for work in over[: max(0, len(over) - _MOST_KEPT + 1)]:
            del self._works[work.work_id]

    async def _do(self, work: Work, do: Callable[[], Awaitable[None]]) -> None:
        log.info("letters_work_begun", kind=work.kind, by=work.by, work=work.work_id)
        try:
            await do()
        except (ServiceUnavailable, PublishRefused, UserError) as error:
            work.problem = str(error)
        except PostgresError as error:
            work.problem = f"Postgres refused: {error}"
        except Exception:  # the other pages go on
            log.exception("letters_work_failed", work=work.work_id)
            work.problem = "internal error; see the console's log"
        work.phase, work.ended_at = Phase.ENDED, datetime.now(UTC)
        log.info(
            "letters_work_ended",
            kind=work.kind,
            by=work.by,
            work=work.work_id,
            done=work.done,
            problem=work.problem,
        )

    async def _replay(self, work: Work, options: Options) -> None:
        watch = await ResultWatch.create(self._database)
        selection = await select(self._database, work.chosen)
        work.total, work.results = selection.total, watch.results

        def done(letter: Record) -> None:
            work.done += 1
            if work.watched < MOST_WATCHED:
                watch.add(replayed(letter))
                work.watched += 1

        looking = asyncio.create_task(_look_ahead(watch))
        try:
            work.summary = await self._replayer.replay(selection.letters, options, work.stop, done)
        finally:
            await end(looking)
        work.summary.missing = selection.missing
        work.problem = work.summary.failed
        await self._watch(work, watch)

    async def _edit(self, work: Work, letter: Record, edited: Edited) -> None:
        letter_id = letter["letter_id"]
        watch = await ResultWatch.create(self._database)
        work.results = watch.results
        # From here on, this console begins no other edit of the letter: nothing can come between.
        found = await letter_store.find_one(self._database, letter_id)
        if found is None or any(found[0][key] != letter[key] for key in ("state", "replays")):
            raise UserError(f"letter {letter_id} was replayed or discarded meanwhile")
        await self._replayer.replay_edited(letter, edited.body, edited.command_id, work.by)
        work.done = work.watched = work.summary.replayed = 1
        work.summary.edited_as = edited.command_id
        work.letters = ()
        watch.add(replayed_edited(letter_id, edited.asks, edited.body))
        await self._watch(work, watch)

    async def _discard(self, work: Work) -> None:
        waiting = replace(as_filter(work.chosen), state=LetterState.WAITING)
        work.total = await letter_store.total(self._database, waiting)

        def done(number: int) -> None:
            work.done += number

        discarded = await discarding.discard(
            self._database, work.chosen, work.by, work.note, done=done, stop=work.stop
        )
        work.discarded = len(discarded)

    async def _watch(self, work: Work, watch: ResultWatch) -> None:
        # A stop while letters were being sent is no reason not to say what became of these.
        if work.stop.is_set() and not self._is_ending:
            work.stop.clear()
        work.phase = Phase.WATCHING
        await watch.wait(WATCHED_FOR, work.stop, lambda decided: None)


async def _look_ahead(watch: ResultWatch) -> NoReturn:
    """Look for results while letters are being sent: that may take hours."""
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        with suppress(ServiceUnavailable, PostgresError):
            await watch.look_ahead()
