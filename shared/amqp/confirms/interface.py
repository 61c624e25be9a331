"""What a publisher needs of a channel, however that does it."""

from typing import Protocol

from pamqp.commands import Basic


class Confirms(Protocol):
    """Publishes on a channel on which nobody else does."""

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: Basic.Properties,
        until: float,
    ) -> None:
        """Publish as mandatory, and return once the broker has confirmed it.

        Raises TimeoutError when the loop's time is `until`, PublishError for an unroutable message,
        DeliveryError for one that was declined, and whatever closed the channel.
        """

    async def answered(self) -> None:
        """Return once nothing is in flight."""
