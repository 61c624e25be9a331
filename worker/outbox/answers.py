"""Tells the recorded outcome of a command to a publisher that repeats it.

Best effort: a publisher that gets no answer asks once more.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, NoReturn
from uuid import UUID

import structlog

from shared.errors import ServiceUnavailable
from shared.postgres import sql
from shared.postgres.database import Database
from worker.messages.reply_address import ReplyAddress
from worker.outbox.event import settled_again
from worker.outbox.replies import Replies

log = structlog.get_logger(__name__)

_MOST: Final = 10_000
"""Maximum number of repeats that wait; the oldest are dropped."""
_AT_ONCE: Final = 500

_Asked = tuple[UUID, ReplyAddress]


class Answers:
    def __init__(self, database: Database, replies: Replies) -> None:
        self._database = database
        self._replies = replies
        self._asked: deque[_Asked] = deque(maxlen=_MOST)
        self._arrived = asyncio.Event()

    def send(self, command_id: UUID, address: ReplyAddress) -> None:
        """Send the recorded outcome of a command to `address` soon."""
        self._asked.append((command_id, address))
        self._arrived.set()

    async def run(self) -> NoReturn:
        """Send the outcomes that were asked for."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._asked:
                number = min(_AT_ONCE, len(self._asked))
                asked = [self._asked.popleft() for _ in range(number)]
                try:
                    await self._send(asked)
                except ServiceUnavailable as error:
                    log.warning("replies_not_sent", error=str(error))

    async def _send(self, asked: Sequence[_Asked]) -> None:
        rows = await self._database.fetch(
            sql.outbox.SETTLED, [command_id for command_id, _ in asked]
        )
        settled = {row["command_id"]: row for row in rows}
        for command_id, address in asked:
            if (row := settled.get(command_id)) is not None:
                message = settled_again(row, address.correlation_id)
                self._replies.send(address.reply_to, message)
