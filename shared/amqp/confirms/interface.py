"""The interface of a channel that publishes with confirms."""

from typing import Protocol

from pamqp.commands import Basic


class Confirms(Protocol):
    """Publishes on a channel of its own."""

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: Basic.Properties,
        until: float,
    ) -> None:
        """Publish as mandatory, and return once the broker has confirmed it.

        Raises TimeoutError at the loop time `until`, PublishError for an unroutable message,
        DeliveryError for a declined one, and the exception that closed the channel.
        """

    async def answered(self) -> None:
        """Return once nothing is in flight."""
