"""Of a message that is far too large, no more than its head is kept.

RabbitMQ pushes as many messages as the prefetch allows, however large they are: it knows no limit
in bytes (`prefetch_size`). aiormq 7.2 would collect each of them whole.
"""

from typing import Any

import aiormq
from pamqp.body import ContentBody
from pamqp.header import ContentHeader


class CutHeader(ContentHeader):
    """The header of a message of which only the first `body_size` bytes were kept."""

    def __init__(self, whole: ContentHeader, kept: int) -> None:
        super().__init__(whole.weight, kept, whole.properties)
        self.full_size = whole.body_size


def keep_heads(channel: aiormq.Channel, most: int) -> None:
    """Have `channel` keep at most `most` bytes of each body. The rest is dropped as it arrives.

    So a message costs no more than that, and its frames one at a time.
    """
    put = channel.frames.put
    wanted = 0  # bytes of the message that is arriving

    async def put_head(item: tuple[int, Any]) -> None:
        nonlocal wanted
        weight, frame = item
        if isinstance(frame, ContentHeader):
            if frame.body_size > most:
                frame = CutHeader(frame, most)
            wanted = frame.body_size
        elif isinstance(frame, ContentBody):
            if not wanted:
                return
            if len(frame) > wanted:
                frame = ContentBody(frame.value[:wanted])
            wanted -= len(frame)
        await put((weight, frame))

    channel.frames.put = put_head  # type: ignore[method-assign]
