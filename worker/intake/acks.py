"""Acknowledging many deliveries of a channel with few frames."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aiormq.abc import AbstractChannel

from shared.amqp.channels import lost_is_an_error


@dataclass(frozen=True, slots=True)
class Ack:
    delivery_tag: int
    multiple: bool
    """Whether it is for all deliveries up to this one."""


class Unacknowledged:
    """The deliveries of one channel that are not acknowledged yet.

    Their tags count up (AMQP 0-9-1, 1.8.3.13).
    """

    def __init__(self) -> None:
        # In the order of delivery, which dictionaries keep.
        self._tags: dict[int, None] = {}
        self._turn = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._tags)

    def add(self, tag: int) -> None:
        self._tags[tag] = None

    async def acknowledge(self, channel: AbstractChannel, tags: Iterable[int]) -> None:
        """Acknowledge `tags`, which are no longer kept here then.

        Raises OSError, AMQPError or ChannelInvalidStateError when the channel is lost; then the
        broker delivers them again.
        """
        # In turn: a frame for all up to a tag that overtook one for a single tag below it would
        # make the broker close the channel for that one (406, unknown delivery tag).
        async with self._turn:
            for ack in self.settled(tags):
                with lost_is_an_error():
                    await channel.basic_ack(ack.delivery_tag, multiple=ack.multiple)

    def settled(self, tags: Iterable[int]) -> Iterator[Ack]:
        """Forget `tags`; the frames that acknowledge them."""
        done = sorted(tags)
        for tag in done:
            del self._tags[tag]
        oldest = next(iter(self._tags), None)
        before = [tag for tag in done if oldest is None or tag < oldest]
        if before:
            yield Ack(before[-1], multiple=len(before) > 1)
        yield from (Ack(tag, multiple=False) for tag in done[len(before) :])
