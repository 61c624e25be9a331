"""A session for `keep_connected` that can be asked whether it is up."""

from aio_pika.abc import AbstractConnection

from shared.amqp.connecting.broker import Session


class Link:
    def __init__(self, session: Session) -> None:
        self._session = session
        self.is_up = False

    async def session(self, connection: AbstractConnection) -> None:
        self.is_up = True
        try:
            await self._session(connection)
        finally:
            self.is_up = False
