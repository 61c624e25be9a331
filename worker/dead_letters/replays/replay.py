"""Replays dead letters: a confirmed, mandatory publish, then the mark.

After a crash between the two, the letter is waiting and its message is in the queue. The letter is
replayed once more, and the worker finds a repeat.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Final
from uuid import UUID

from aio_pika import DeliveryMode, Message
from asyncpg import Record

from shared.aio.batcher import Batcher
from shared.amqp.keys import CANCEL_KEY, QUEUED_KEY
from shared.amqp.publisher import Publisher
from shared.amqp.topology import Topology
from shared.commands import CANCEL_TYPE
from shared.errors import PublishRefused, ServiceUnavailable
from shared.postgres.database import Database
from shared.registrations import QUEUED_TYPE
from shared.states import Via
from worker.dead_letters import store as letter_store
from worker.dead_letters.kinds import is_registration
from worker.dead_letters.replays.planning import Planned, planned
from worker.dead_letters.replays.replay_results import Result
from worker.messages.conversion import sendable_headers
from worker.messages.headers import History
from worker.messages.reply_address import direct

_IN_FLIGHT: Final = 256
_PUBLISHING: Final = 64
"""How many of them are being published; the others wait for their marks, which are batched."""


@dataclass(slots=True)
class Summary:
    """The result of a replay."""

    replayed: int = 0
    too_often: list[int] = field(default_factory=list)
    discarded: list[int] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    edited_as: UUID | None = None
    """The new command of the only letter, if that was edited."""
    edited: dict[int, UUID | None] = field(default_factory=dict)
    """The letters that a program has edited, and their new commands' ids."""
    unchanged: list[int] = field(default_factory=list)
    edit_failed: dict[int, str] = field(default_factory=dict)
    """The letters that could not be edited, and why."""
    results: Sequence[Result] | None = None
    """The results of the replayed letters, with `--wait`."""
    interrupted: bool = False
    failed: str | None = None

    @property
    def is_incomplete(self) -> bool:
        """Whether a chosen letter was not replayed though it was to be."""
        return any((self.missing, self.too_often, self.discarded, self.cut, self.edit_failed))

    def not_edited(self, letter_id: int, why: str | None) -> None:
        """Record that a letter has no other body: it is `None` that the editor left it as it is."""
        if why is None:
            self.unchanged.append(letter_id)
        else:
            self.edit_failed[letter_id] = why

    def skip(self, letter_id: int, kind: Planned) -> None:
        """Record that a letter is not replayed."""
        match kind:
            case Planned.TOO_OFTEN:
                self.too_often.append(letter_id)
            case Planned.DISCARDED:
                self.discarded.append(letter_id)
            case Planned.CUT:
                self.cut.append(letter_id)


@dataclass(frozen=True, slots=True)
class Options:
    """`rate` is letters per second. `force` also replays letters that would be skipped.

    `wait` is how long to wait for the results, in seconds.
    """

    by: str
    rate: float | None = None
    force: bool = False
    wait: float | None = None


class Replayer:
    def __init__(
        self, database: Database, publisher: Publisher, topology: Topology, broker_user: str
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._topology = topology
        self._broker_user = broker_user
        self._publishing = asyncio.Semaphore(_PUBLISHING)

    async def replay(
        self,
        letters: AsyncIterator[Record],
        options: Options,
        stop: asyncio.Event,
        done: Callable[[Record], None],
    ) -> Summary:
        """Replay `letters` until they end or `stop` is set. Letters in flight are finished.

        `done` is called for each replayed one.
        """
        summary = Summary()
        places = asyncio.Semaphore(_IN_FLIGHT)
        pace = Pace(options.rate)

        async def one(letter: Record) -> None:
            try:
                await self._replay(letter, marks)
                summary.replayed += 1
                done(letter)
            except (ServiceUnavailable, PublishRefused) as error:
                summary.failed = str(error)
                stop.set()  # this letter and those after it are still waiting
            finally:
                places.release()

        async with asyncio.TaskGroup() as tasks:
            marks = Batcher(partial(self._mark, options.by), tasks)
            async for letter in letters:
                kind = planned(letter, force=options.force)
                if kind is not Planned.SENT:
                    summary.skip(letter["letter_id"], kind)
                    continue
                await pace.wait()
                await places.acquire()
                if stop.is_set():
                    places.release()
                    break
                tasks.create_task(one(letter))
        return summary

    async def replay_edited(
        self, letter: Record, body: bytes, command_id: UUID | None, by: str
    ) -> None:
        """Publish `body` instead of the letter: as a new command, or as a registration.

        Raises ServiceUnavailable and PublishRefused.
        """
        message_id = letter["message_id"] if command_id is None else str(command_id)
        kind = QUEUED_TYPE if is_registration(letter["routing_key"]) else CANCEL_TYPE
        await self._publish(letter, self._message(letter, body, message_id, kind))
        await letter_store.mark_edited(self._database, letter["letter_id"], by, command_id, body)

    async def _replay(self, letter: Record, marks: Batcher[int, None]) -> None:
        message = self._message(letter, letter["body"], letter["message_id"], letter["type"])
        async with self._publishing:
            await self._publish(letter, message)
        await marks.submit(letter["letter_id"])

    async def _publish(self, letter: Record, message: Message) -> None:
        key = QUEUED_KEY if is_registration(letter["routing_key"]) else CANCEL_KEY
        await self._publisher.publish(self._topology.commands, key, message)

    async def _mark(self, by: str, letter_ids: Sequence[int]) -> list[None]:
        await letter_store.mark_replayed(self._database, letter_ids, by)
        return [None] * len(letter_ids)

    def _message(
        self, letter: Record, body: bytes, message_id: str | None, kind: str | None
    ) -> Message:
        history = History(
            via=Via.REPLAY,
            publisher=letter["publisher"],
            exchange=letter["exchange"],
            routing_key=letter["routing_key"],
            replays=letter["replays"] + 1,
            replay_of=letter["letter_id"],
        )
        return Message(
            body,
            headers={**sendable_headers(json.loads(letter["headers"])), **history.headers()},
            content_type=letter["content_type"],
            content_encoding=letter["content_encoding"],
            delivery_mode=DeliveryMode.PERSISTENT,
            correlation_id=letter["correlation_id"],
            reply_to=direct(letter["reply_to"]),
            message_id=message_id,
            timestamp=datetime.now(UTC),
            type=kind,
            app_id=letter["app_id"],
            user_id=self._broker_user,
        )


class Pace:
    """Limits to `rate` per second; None for no limit."""

    def __init__(self, rate: float | None) -> None:
        self._every = 1 / rate if rate else 0.0
        self._next = monotonic()

    async def wait(self) -> None:
        if not self._every:
            return
        delay = self._next - monotonic()
        if delay > 0:
            await asyncio.sleep(delay)
        self._next = max(self._next, monotonic() - self._every) + self._every
