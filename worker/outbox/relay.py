"""Publishes what is in the outbox, and removes what RabbitMQ has confirmed: events, dead letters.

At least once: killed between the two, the next one publishes again. In order within a run: one
worker at a time publishes, and of a run one event after the other.

A queue that is full declines an event (overflow `reject-publish`). The events of its run then wait,
and those of other runs go on; after a day they are dropped. Dead letters wait for no event, and are
kept until they are published.
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

from shared.amqp.broker import Publisher
from shared.amqp.topology import Topology
from shared.errors import PublishRefused, ServiceUnavailable, Unroutable
from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import DeadReason
from worker.metrics import WorkerMetrics
from worker.outbox.declined import Declined
from worker.outbox.event import message_of
from worker.outbox.letter import dead_letter_message

log = structlog.get_logger(__name__)

_MOST: Final = 200
"""Events in one transaction."""
_BUSY_PAUSE: Final = 0.1
"""Seconds until the next try where another worker publishes: it may just have looked."""
_BUSY_TRIES: Final = 10
_FAILED_PAUSE: Final = 1.0
"""Seconds."""
_LULL: Final = 0.02
_LONGEST_BURST: Final = 1.0
"""Seconds."""
_LONGEST_BACKLOG: Final = 3.0
"""Seconds that events may be late, while what they would tell of is still to be done."""
_LONGEST: Final = 10.0
"""Seconds of one transaction: Postgres ends one that is idle for 30 and undoes what it removed."""
LETTER: Final = "dead_letter"
KEPT: Final = timedelta(days=1)
"""Of events that nobody takes."""


class Relay:
    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        topology: Topology,
        broker_user: str,
        metrics: WorkerMetrics,
    ) -> None:
        self._broker_user = broker_user
        self._metrics = metrics
        self._database = database
        self._publisher = publisher
        self._topology = topology
        self._woken = asyncio.Event()
        self._is_behind: Callable[[], bool] = lambda: False
        self._declined = Declined()

    def wake(self) -> None:
        """Something may be in the outbox."""
        self._woken.set()

    def give_way(self, is_behind: Callable[[], bool]) -> None:
        """Let work that `is_behind` go first, for a while: asked again and again meanwhile."""
        self._is_behind = is_behind

    async def run(self) -> NoReturn:
        """Publish whenever woken. Who writes into the outbox wakes, and each heartbeat does."""
        while True:
            await self._woken.wait()
            await self._lull()
            try:
                await self._publish_all()
            except ServiceUnavailable as error:
                log.warning("events_not_published", error=str(error))
                await asyncio.sleep(_FAILED_PAUSE)
                self._woken.set()
            except Exception:  # the next heartbeat wakes again
                log.exception("relay_failed")

    async def _lull(self) -> None:
        """Return once nobody has woken us for a moment, nor is behind: a burst is told after it."""
        began = monotonic()
        while (is_behind := self._is_behind()) or self._woken.is_set():
            if monotonic() > began + (_LONGEST_BACKLOG if is_behind else _LONGEST_BURST):
                return
            self._woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LULL):
                    await self._woken.wait()

    async def _publish_all(self) -> None:
        """Publish until nothing is left, or another worker has been at it for a while."""
        has_events = await self._database.fetchrow(sql.outbox.HAS_EVENTS)
        busy = 0
        while has_events is not None and has_events[0] and busy < _BUSY_TRIES:
            number = await self._publish_some()
            if number is None:
                busy += 1
                await asyncio.sleep(_BUSY_PAUSE)
            elif not self._declined.release() and number == 0:
                return

    async def _publish_some(self) -> int | None:
        """How many events were taken; None where another worker has the turn.

        Raises ServiceUnavailable, with what was confirmed removed.
        """
        async with self._database.transaction() as connection:
            if not await connection.fetchval(sql.outbox.TAKE_TURN):
                return None
            if dropped := await connection.fetchval(sql.outbox.DROP_OLD_EVENTS, KEPT):
                log.warning("events_dropped", count=dropped)
            events = await connection.fetch(sql.outbox.NEXT_EVENTS, _MOST, self._declined.waiting)
            confirmed: list[int] = []
            failure = await self._publish(events, confirmed)
            await connection.execute(sql.outbox.REMOVE_EVENTS, confirmed)
        if failure is not None:
            raise failure
        return len(events)

    async def _publish(
        self, events: Iterable[Record], confirmed: list[int]
    ) -> ServiceUnavailable | None:
        """Add to `confirmed` what was; the error of one that was not, but for declined ones."""
        in_order = sorted(events, key=lambda event: (*_line(event), event["event_id"]))
        until = monotonic() + _LONGEST
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
                    await self._publisher.publish(
                        self._topology.events, event["type"], message_of(event)
                    )
            except Unroutable:
                pass  # nobody listens
            except PublishRefused:
                if self._declined.add(event["run_id"]):
                    log.warning("events_declined", exchange=self._topology.events)
                break  # and what came after it has to wait as well
            except ServiceUnavailable as error:
                return error
            except Exception as error:  # of this one alone: others are to be told all the same
                log.exception("event_not_published", event_id=event["event_id"])
                return ServiceUnavailable(f"event {event['event_id']}: {error}")
            confirmed.append(event["event_id"])
        return None

    async def _publish_letter(self, event: Record) -> None:
        body, properties = dead_letter_message(event, self._topology, self._broker_user)
        try:
            await self._publisher.send(
                self._topology.dead_exchange, self._topology.cancel, body, properties
            )
        except PublishRefused as error:
            # The queue takes all that comes: somebody has deleted it.
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
    """What is published one after the other."""
    return event["run_id"], event["type"] == LETTER
