"""Publishing with confirms, with little overhead per message."""

import asyncio
from uuid import uuid4

import aiormq
from aiormq.abc import ConfirmationFrameType
from aiormq.exceptions import ChannelInvalidStateError
from pamqp import commands

from shared.aio.deadlines import Deadlines
from shared.amqp.confirms.frames import published
from shared.amqp.confirms.joined_frames import JoinedFrames


class JoinedConfirms:
    """See `Confirms`.

    For each message, aiormq 7.2 takes a lock, two timeouts and a turn of the event loop, and
    encodes exchange and key again: half of the cost of a publish. Messages in flight are kept in
    aiormq's own tables, by delivery tag and by message id, so that it processes the broker's
    confirms. This depends on that exact version.
    """

    def __init__(self, channel: aiormq.Channel) -> None:
        self._channel = channel
        self._frames = JoinedFrames(channel.write_queue)
        self._deadlines = Deadlines()
        self._in_flight: dict[str, asyncio.Future[ConfirmationFrameType]] = {}

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: commands.Basic.Properties,
        until: float,
    ) -> None:
        channel = self._channel
        if not properties.message_id:
            properties.message_id = uuid4().hex  # identifies the message if it is returned
        message_id = properties.message_id
        if self._must_wait(message_id):
            async with asyncio.timeout_at(until):
                await self._turn(message_id)
        if channel.is_closed:
            raise ChannelInvalidStateError("the channel is closed")
        payload = published(
            exchange, routing_key, body, properties, channel.number, channel.max_content_size
        )
        confirmed = channel.create_future()
        channel.delivery_tag += 1
        channel.confirmations[channel.delivery_tag] = confirmed
        channel.message_id_delivery_tag[message_id] = channel.delivery_tag
        self._in_flight[message_id] = confirmed
        self._frames.put(payload)
        self._deadlines.end(confirmed, until)
        try:
            await confirmed
        finally:
            del self._in_flight[message_id], channel.message_id_delivery_tag[message_id]

    async def answered(self) -> None:
        while self._in_flight:
            await asyncio.wait(self._in_flight.values())

    def _must_wait(self, message_id: str) -> bool:
        # Two messages in flight with the same id would get each other's confirm.
        return self._frames.is_full or message_id in self._in_flight

    async def _turn(self, message_id: str) -> None:
        while self._must_wait(message_id):
            await self._frames.room()
            if earlier := self._in_flight.get(message_id):
                await asyncio.wait([earlier])
