"""Cancels by both ways at once, each sent again until it is accepted, and what was answered."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from itertools import pairwise
from time import monotonic
from uuid import uuid4

import aio_pika
import aiohttp
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, DeliveryError

from shared.amqp.keys import CANCEL_KEY
from shared.amqp.topology import Topology
from shared.commands import CANCEL_TYPE
from tests.support.http.api import Api

DEADLINE = 40.0
"""Seconds until a cancel must be accepted, whatever is away meanwhile."""
_CONFIRM = 5.0
_CLOSE = 1.0
_LOST = (OSError, TimeoutError, AMQPError, ChannelInvalidStateError, RuntimeError)


class Storm:
    """Sends one cancel for each of many runs, a few at a time."""

    def __init__(
        self,
        api: Api,
        amqp_url: str | Sequence[str],
        topology: Topology,
        at_once: int = 12,
        pause: float = 0.0,
    ) -> None:
        """`amqp_url`: one for each node of a cluster; `pause`: seconds after each accepted one."""
        self.api = api
        self._amqp_urls = [amqp_url] if isinstance(amqp_url, str) else list(amqp_url)
        self._pause = pause
        self._topology = topology
        self._at_once = at_once
        self._connection: aio_pika.abc.AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._connecting = asyncio.Lock()
        self._changed = asyncio.Condition()
        self.sent: Counter[int] = Counter()
        """How often a run's cancel was sent to the gateway."""
        self.accepted: dict[int, float] = {}
        """When a run's cancel was answered 202 or confirmed."""
        self.accepted_by_gateway: list[float] = []
        """When a cancel was answered 202."""
        self.commands: dict[int, str] = {}
        """The command id of each run whose cancel went straight to the broker."""
        self.refused: Counter[int] = Counter()
        """Answers of the gateway other than 202, by status."""
        self.declined = 0
        """Publishes that the broker answered with a negative confirm."""
        self.lost = 0
        """Publishes that ended in an error."""

    async def send(self, rest: Iterable[int], direct: Iterable[int], **fields: object) -> None:
        """Return when every cancel is accepted; `fields` go into each direct command."""
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._each(rest, self._over_rest))
                both.create_task(self._each(direct, lambda run: self._straight(run, fields)))
        finally:
            await self._disconnect()

    async def has_accepted(self, count: int, deadline: float = DEADLINE) -> None:
        async with asyncio.timeout(deadline), self._changed:
            await self._changed.wait_for(lambda: len(self.accepted) >= count)

    def next_after(self, moment: float) -> float:
        """Seconds from `moment` until a cancel was accepted that had not been sent before it."""
        return min(at for at in self.accepted.values() if at > moment) - moment

    def longest_pause(self, since: float) -> tuple[float, float]:
        """When the gateway accepted no cancel for the longest time after `since`: from, to."""
        times = [since, *(at for at in self.accepted_by_gateway if at > since)]
        return max(pairwise(times), key=lambda pause: pause[1] - pause[0])

    async def _each(self, runs: Iterable[int], send: Callable[[int], Awaitable[bool]]) -> None:
        left = iter(runs)

        async def work() -> None:
            for run in left:
                await self._until_accepted(run, send)
                await asyncio.sleep(self._pause)

        async with asyncio.TaskGroup() as workers:
            for _ in range(self._at_once):
                workers.create_task(work())

    async def _until_accepted(self, run: int, send: Callable[[int], Awaitable[bool]]) -> None:
        end = monotonic() + DEADLINE
        while not await send(run):
            assert monotonic() < end, f"the cancel of run {run} was never accepted"
            await asyncio.sleep(0.1)
        async with self._changed:
            self.accepted[run] = monotonic()
            self._changed.notify_all()

    async def _over_rest(self, run: int) -> bool:
        self.sent[run] += 1
        with suppress(aiohttp.ClientConnectionError):
            answer = await self.api.cancel(run)
            if answer.status == 202:
                self.accepted_by_gateway.append(monotonic())
                return True
            self.refused[answer.status] += 1
        return False

    async def _straight(self, run: int, fields: dict[str, object]) -> bool:
        # The same id each time: whether an earlier one got through cannot be known.
        command_id = self.commands.setdefault(run, str(uuid4()))
        body = json.dumps({"command_id": command_id, "run_id": run, **fields}).encode()
        try:
            async with asyncio.timeout(_CONFIRM):
                channel = await self._open_channel()
                exchange = await channel.get_exchange(self._topology.commands, ensure=False)
                await exchange.publish(_message(body, command_id), CANCEL_KEY, mandatory=True)
        except DeliveryError:
            # Declined. A new channel may find a leader of the queue that this one does not.
            self.declined += 1
            await self._disconnect()
            return False
        except _LOST:
            self.lost += 1
            await self._disconnect()
            return False
        except asyncio.CancelledError:
            # What aiormq raises where the connection dies; ours is told by the task.
            task = asyncio.current_task()
            assert task is not None
            if task.cancelling():
                raise
            self.lost += 1
            return False
        return True

    async def _open_channel(self) -> AbstractChannel:
        async with self._connecting:
            if self._channel is None or self._channel.is_closed:
                await self._disconnect()
                # Whichever comes next: a node that is in trouble is not tried for ever.
                self._amqp_urls.append(url := self._amqp_urls.pop(0))
                self._connection = await aio_pika.connect(url)
                self._channel = await self._connection.channel(on_return_raises=True)
            return self._channel

    async def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection, self._channel = self._connection, None, None
            with suppress(*_LOST):
                async with asyncio.timeout(_CLOSE):
                    await connection.close()


def _message(body: bytes, command_id: str) -> aio_pika.Message:
    return aio_pika.Message(
        body,
        message_id=command_id,
        type=CANCEL_TYPE,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
