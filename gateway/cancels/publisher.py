"""Publishes cancel commands."""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from time import monotonic

from aio_pika import DeliveryMode
from pamqp.commands import Basic

from shared.amqp.keys import REST_KEY
from shared.amqp.publisher import Publisher
from shared.amqp.topology import Topology
from shared.commands import CANCEL_TYPE, GATEWAY_APP_ID, CancelCommand
from shared.errors import PublishRefused


class PublishResult(StrEnum):
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class CommandPublisher:
    """Publishes persistent commands and waits for the confirm."""

    def __init__(
        self,
        publisher: Publisher,
        topology: Topology,
        broker_user: str,
        published: Callable[[PublishResult, float], None],
    ) -> None:
        """`published` is called with the result and the duration of each publish, in seconds."""
        self._publisher = publisher
        self._topology = topology
        self._broker_user = broker_user
        self._published = published

    async def publish(self, command: CancelCommand, correlation_id: str) -> None:
        """Return once the broker has confirmed `command`.

        Raises PublishRefused, and PublishUnknown, after which the command may still arrive.
        """
        properties = Basic.Properties(
            content_type="application/json",
            delivery_mode=DeliveryMode.PERSISTENT,
            message_id=str(command.command_id),
            correlation_id=correlation_id,
            timestamp=datetime.now(UTC),
            message_type=CANCEL_TYPE,
            app_id=GATEWAY_APP_ID,
            # Checked by the broker when set (RabbitMQ, "Validated User-ID").
            user_id=self._broker_user,
        )
        body = command.model_dump_json(exclude_none=True).encode()
        began = monotonic()
        result = PublishResult.UNKNOWN
        try:
            await self._publisher.send(self._topology.commands, REST_KEY, body, properties)
            result = PublishResult.CONFIRMED
        except PublishRefused:
            result = PublishResult.REFUSED
            raise
        finally:
            self._published(result, monotonic() - began)
