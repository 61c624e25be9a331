"""Keeps only the head of a message that is far too large.

RabbitMQ pushes as many messages as the prefetch allows, however large they are: it knows no limit
in bytes (`prefetch_size`). aiormq 7.2 would collect each of them whole.
"""

from collections.abc import Awaitable
from typing import Any

import aiormq
from pamqp.body import ContentBody
from pamqp.header import ContentHeader


class CutHeader(ContentHeader):
    """The header of a message of which only the first `body_size` bytes were kept."""

    def __init__(self, whole: ContentHeader, kept: int) -> None:
        super().__init__(whole.weight, kept, whole.properties)
        self.full_size = whole.body_size


def limit_bodies(channel: aiormq.Channel, most: int) -> None:
    """Make `channel` keep at most `most` bytes of each body. The rest is dropped as it arrives.

    So the memory for a message is at most that, plus one frame.
    """
    put = channel.frames.put
    wanted = 0  # bytes so far of the message that is arriving

    # Not a coroutine: that would double the cost of each frame.
    def put_limited(item: tuple[int, Any]) -> Awaitable[None]:
        nonlocal wanted
        weight, frame = item
        if isinstance(frame, ContentBody):
            if not wanted:
                return _nothing()
            if len(frame) > wanted:
                item = weight, ContentBody(frame.value[:wanted])
            wanted -= len(item[1])
        elif isinstance(frame, ContentHeader):
            if frame.body_size > most:
                item = weight, CutHeader(frame, most)
            wanted = item[1].body_size
        return put(item)

    # This channel has its own queue, so no other channel is affected.
    channel.frames.put = put_limited  # type: ignore[method-assign,assignment]  # same signature


async def _nothing() -> None:
    pass
