"""Publishes the events and dead letters in the outbox, and removes them once confirmed.

At least once: after a crash between the two, the next worker publishes again. In order within a
run: one worker publishes at a time, and the events of a run one after another.

A full queue declines an event (overflow `reject-publish`). The events of that run then wait, while
those of other runs continue; after a day they are dropped. Dead letters do not wait for events, and
are kept until they are published.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import groupby
from time import monotonic
from typing import Final, NoReturn

import structlog
from asyncpg import Record

from shared.amqp.publisher import Publisher
from shared.amqp.topology import Topology
from shared.errors import PublishRefused, ServiceUnavailable, Unroutable
from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import DeadReason
from worker.metrics import WorkerMetrics
from worker.outbox.declined import Declined
from worker.outbox.event import message_of, reply_of
from worker.outbox.letter import dead_letter_message
from worker.outbox.replies import Replies

log = structlog.get_logger(__name__)

_MOST: Final = 200
"""Maximum number of events in one transaction."""
_BUSY_PAUSE: Final = 0.1
"""Pause while another worker publishes, which may have missed the newest rows, seconds."""
_BUSY_TRIES: Final = 10
_FAILED_PAUSE: Final = 1.0
"""Seconds."""
_INTERVAL: Final = 0.1
"""Minimum time from one round to the next, seconds: the events of a round share its cost."""
_SOON: Final = 0.02
"""Seconds."""
_GIVE_WAY: Final = 0.02
"""Interval between looks at more urgent work, seconds."""
_MAX_BACKLOG: Final = 3.0
"""Maximum delay of events while more urgent work is pending, seconds."""
_MAX_TRANSACTION: Final = 10.0
"""Maximum length of a transaction, seconds: Postgres aborts one that is idle for 30 s."""
LETTER: Final = "dead_letter"
KEPT: Final = timedelta(days=1)
"""Maximum age of an unconfirmed event."""


class Relay:
    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        topology: Topology,
        broker_user: str,
        metrics: WorkerMetrics,
        replies: Replies,
    ) -> None:
        self._broker_user = broker_user
        self._metrics = metrics
        self._replies = replies
        self._database = database
        self._publisher = publisher
        self._topology = topology
        self._woken = asyncio.Event()
        self._is_behind: Callable[[], bool] = lambda: False
        self._declined = Declined()
        self._latest = 0
        """The highest number of an event that was published here."""

    @property
    def latest(self) -> int:
        """The highest number of an event that this worker has published; 0 for none."""
        return self._latest

    def wake(self) -> None:
        """Hint that there may be rows in the outbox."""
        self._woken.set()

    def wake_soon(self) -> None:
        """Likewise, but let what the caller has just begun go first."""
        asyncio.get_running_loop().call_later(_SOON, self._woken.set)

    def give_way(self, is_behind: Callable[[], bool]) -> None:
        """Let other work go first, for a bounded time, while `is_behind` returns True."""
        self._is_behind = is_behind

    async def run(self) -> NoReturn:
        """Publish at once when woken, after each write to the outbox and at each heartbeat.

        Then at most ten times a second, so that many events together cost little.
        """
        while True:
            await self._woken.wait()
            first = monotonic() + _MAX_BACKLOG
            await self._let_others_go_first(first)
            began = monotonic()
            self._woken.clear()
            try:
                await self._publish_all(first)
            except ServiceUnavailable as error:
                log.warning("events_not_published", error=str(error))
                await asyncio.sleep(_FAILED_PAUSE)
                self._woken.set()
            except Exception:  # the next heartbeat wakes again
                log.exception("relay_failed")
            await asyncio.sleep(began + _INTERVAL - monotonic())

    async def _let_others_go_first(self, until: float) -> None:
        """Return once no urgent work is pending, but not later than `until`."""
        while True:
            if not self._is_behind() or monotonic() > until:
                return
            await asyncio.sleep(_GIVE_WAY)

    async def _publish_all(self, until: float) -> None:
        """Publish what is in the outbox, unless another worker is publishing for a while.

        Until then, give way to urgent work that begins in between.
        """
        has_events = await self._database.fetchrow(sql.outbox.HAS_EVENTS)
        busy = 0
        while has_events is not None and has_events[0] and busy < _BUSY_TRIES:
            are_more = await self._publish_some()
            await self._let_others_go_first(until)
            if are_more is None:
                busy += 1
                await asyncio.sleep(_BUSY_PAUSE)
            elif not self._declined.release() and not are_more:
                return

    async def _publish_some(self) -> bool | None:
        """Publish some rows; whether there may be more, or None if another worker is publishing.

        Raises ServiceUnavailable, after the confirmed rows were removed.
        """
        async with self._database.transaction() as connection:
            if not await connection.fetchval(sql.outbox.TAKE_TURN):
                return None
            if dropped := await connection.fetchval(sql.outbox.DROP_OLD_EVENTS, KEPT):
                log.warning("events_dropped", count=dropped)
            events = await connection.fetch(sql.outbox.NEXT_EVENTS, _MOST, self._declined.waiting)
            confirmed: list[int] = []
            until = monotonic() + _MAX_TRANSACTION
            failure = await self._publish(events, confirmed, until)
            self._latest = max(self._latest, *confirmed, 0)
            await connection.execute(sql.outbox.REMOVE_EVENTS, confirmed)
        if failure is not None:
            raise failure
        return len(events) >= _MOST or monotonic() > until

    async def _publish(
        self, events: Iterable[Record], confirmed: list[int], until: float
    ) -> ServiceUnavailable | None:
        """Publish, and add confirmed ids to `confirmed`; the error, if not just a decline."""
        in_order = sorted(events, key=lambda event: (*_line(event), event["event_id"]))
        results = await asyncio.gather(
            *(
                self._publish_in_order(list(line), confirmed, until)
                for _, line in groupby(in_order, key=_line)
            )
        )
        return next((failure for failure in results if failure is not None), None)

    async def _publish_in_order(
        self, events: Sequence[Record], confirmed: list[int], until: float
    ) -> ServiceUnavailable | None:
        for event in events:
            if monotonic() > until:
                break
            try:
                if event["type"] == LETTER:
                    await self._publish_letter(event)
                else:
                    await self._publish_event(event)
            except PublishRefused:
                if self._declined.add(_key(event)):
                    log.warning("events_declined", exchange=self._topology.events)
                break  # later events of the run have to wait too
            except ServiceUnavailable as error:
                return error
            except Exception as error:  # of this event only: the others continue
                log.exception("event_not_published", event_id=event["event_id"])
                return ServiceUnavailable(f"event {event['event_id']}: {error}")
            confirmed.append(event["event_id"])
        return None

    async def _publish_event(self, event: Record) -> None:
        with suppress(Unroutable):  # no queue is bound
            await self._publisher.publish(self._topology.events, event["type"], message_of(event))
        if event["reply_to"] is not None:
            self._replies.send(event["reply_to"], reply_of(event))

    async def _publish_letter(self, event: Record) -> None:
        body, properties = dead_letter_message(event, self._topology, self._broker_user)
        try:
            await self._publisher.send(
                self._topology.dead_exchange, self._topology.cancel, body, properties
            )
        except PublishRefused as error:
            # This queue accepts everything, so it was deleted.
            await self._publisher.declare(self._topology.declare_relay)
            raise ServiceUnavailable(str(error)) from error
        self._metrics.dead_lettered(DeadReason.STOP_FAILED)
        log.warning(
            "command_dead_lettered",
            run_id=event["run_id"],
            command_id=json.loads(event["data"])["command_id"],
            correlation_id=properties.correlation_id,
            reason=DeadReason.STOP_FAILED,
        )


def _line(event: Record) -> tuple[int, bool]:
    """The groups that are published in order: the events of one run, or its letters."""
    return _key(event), event["type"] == LETTER


def _key(event: Record) -> int:
    """The run of an event, as in NEXT_EVENTS. An event without a run waits for no other one."""
    run_id: int = event["run_id"]
    return run_id or -event["event_id"]
