"""Publishes what is in the outbox, and removes what RabbitMQ has confirmed.

At least once: killed between the two, the next one publishes again. In order within a run: one
worker at a time publishes, and of a run one event after the other.
"""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final, NoReturn

import structlog
from asyncpg import Record

from shared import outbox_queries as queries
from shared.broker import Publisher
from shared.database import Database
from shared.errors import PublishRefused, ServiceUnavailable, Unroutable
from shared.topology import Topology
from worker.outbox.event import message_of

log = structlog.get_logger(__name__)

_MOST: Final = 200
"""Events in one transaction."""
_BUSY_PAUSE: Final = 0.1
"""Seconds until the next try where another worker publishes: it may just have looked."""
_BUSY_TRIES: Final = 10
_FAILED_PAUSE: Final = 1.0
"""Seconds."""


class Relay:
    def __init__(self, database: Database, publisher: Publisher, topology: Topology) -> None:
        self._database = database
        self._publisher = publisher
        self._topology = topology
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something may be in the outbox."""
        self._woken.set()

    async def run(self) -> NoReturn:
        """Publish whenever woken. Who writes into the outbox wakes, and each heartbeat does."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self._publish_all()
            except (ServiceUnavailable, PublishRefused) as error:
                log.warning("events_not_published", error=str(error))
                await asyncio.sleep(_FAILED_PAUSE)
                self._woken.set()

    async def _publish_all(self) -> None:
        """Publish until nothing is left, or another worker has been at it for a while."""
        busy = 0
        while busy < _BUSY_TRIES:
            number = await self._publish_some()
            if number == 0:
                return
            if number is None:
                busy += 1
                await asyncio.sleep(_BUSY_PAUSE)

    async def _publish_some(self) -> int | None:
        """How many events were taken; None where another worker has the turn.

        Raises ServiceUnavailable and PublishRefused, with what was confirmed removed.
        """
        async with self._database.transaction() as connection:
            if not await connection.fetchval(queries.TAKE_TURN):
                return None
            events = await connection.fetch(queries.NEXT_EVENTS, _MOST)
            confirmed: list[int] = []
            failure = await self._publish(events, confirmed)
            await connection.execute(queries.REMOVE_EVENTS, confirmed)
        if failure is not None:
            raise failure
        return len(events)

    async def _publish(
        self, events: Iterable[Record], confirmed: list[int]
    ) -> ServiceUnavailable | PublishRefused | None:
        """Add to `confirmed` what was; the error of one that was not."""
        by_run = sorted(events, key=lambda event: (event["run_id"], event["event_id"]))
        results = await asyncio.gather(
            *(
                self._publish_in_order(list(of_run), confirmed)
                for _, of_run in groupby(by_run, key=lambda event: event["run_id"])
            )
        )
        return next((failure for failure in results if failure is not None), None)

    async def _publish_in_order(
        self, events: Sequence[Record], confirmed: list[int]
    ) -> ServiceUnavailable | PublishRefused | None:
        for event in events:
            try:
                await self._publisher.publish(
                    self._topology.events, event["type"], message_of(event)
                )
            except Unroutable:
                pass  # nobody listens
            except (ServiceUnavailable, PublishRefused) as error:
                return error  # and what came after it has to wait as well
            confirmed.append(event["event_id"])
        return None
