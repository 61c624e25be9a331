"""The cancel command as a message."""

from datetime import UTC, datetime

from aio_pika import DeliveryMode, Message

from shared.broker import Publisher
from shared.commands import CANCEL_TYPE, GATEWAY_APP_ID, CancelCommand
from shared.topology import CANCEL_KEY, Topology


class CommandPublisher:
    """Publishes commands so that they survive whatever happens after the confirm."""

    def __init__(self, publisher: Publisher, topology: Topology, broker_user: str) -> None:
        self._publisher = publisher
        self._topology = topology
        self._broker_user = broker_user

    async def publish(self, command: CancelCommand, correlation_id: str) -> None:
        """Return once the broker has confirmed `command`.

        Raises PublishRefused and PublishUnknown; after the latter it may arrive all the same.
        """
        message = Message(
            command.model_dump_json(exclude_none=True).encode(),
            content_type="application/json",
            delivery_mode=DeliveryMode.PERSISTENT,
            message_id=str(command.command_id),
            correlation_id=correlation_id,
            timestamp=datetime.now(UTC),
            type=CANCEL_TYPE,
            app_id=GATEWAY_APP_ID,
            # Checked by the broker when set (RabbitMQ, "Validated User-ID").
            user_id=self._broker_user,
        )
        await self._publisher.publish(self._topology.commands, CANCEL_KEY, message)
