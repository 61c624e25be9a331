"""Publishing that ends in a publisher confirm or an error."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import DeliveryError, PublishError
from pamqp.commands import Basic

from shared.aio.tasks import first_of
from shared.amqp import blocked
from shared.amqp.channels import (
    AWAY,
    DECLARE_TIMEOUT,
    close_channel,
    lost_is_an_error,
    open_channel,
    underlay,
)
from shared.amqp.confirms.interface import Confirms
from shared.amqp.confirms.joined import JoinedConfirms
from shared.amqp.connecting.broker import (
    CONNECT_TIMEOUT,
    PAUSE,
    Session,
    keep_connected,
    keep_trying,
)
from shared.amqp.errors import reason
from shared.configuration.settings import ServiceSettings
from shared.errors import (
    NotDeclared,
    PublishRefused,
    PublishUnknown,
    ServiceUnavailable,
    Unroutable,
)
from shared.services.urls import without_password

log = structlog.get_logger(__name__)

# Seconds.
_GIVE_UP = 1.0
"""Timeout for the other messages in flight, and then for the channel's close, after a decline."""
_LOOK_AGAIN = 1.0
"""Interval between checks for missing names."""

Declare = Callable[[AbstractChannel], Awaitable[None]]


class Publisher:
    """Publishes with mandatory routing and a publisher confirm, on a connection of its own.

    Its own, because a memory or disk alarm blocks every connection that publishes.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        name: str,
        confirms_on: Callable[[aiormq.Channel], Confirms] = JoinedConfirms,
    ) -> None:
        """`name` is for the log. `confirms_on` is called with each channel that is opened."""
        self._settings = settings
        self._name = name
        self._confirms_on = confirms_on
        self._channel: asyncio.Future[AbstractChannel] = asyncio.Future()
        self._known = asyncio.Event()
        self._open: tuple[aiormq.Channel, Confirms] | None = None
        self._connection: AbstractConnection | None = None
        self._declined = asyncio.Event()
        self._unanswered = asyncio.Event()
        self._answered_at = 0.0  # the loop's time of the latest answer to a publish
        self._moves_left = self._most_moves = len(settings.broker.nodes) - 1
        self.problem: str | None = None
        """What a reachable broker lacks, and what to do about it."""

    async def run(
        self, declare: Declare | None = None, look: Session | None = None, *, optional: bool = False
    ) -> NoReturn:
        """Keep a confirming channel open.

        Raises ServiceUnavailable if there is no first connection in time, unless the program can do
        without RabbitMQ: `optional`.

        `declare` declares the names before the channel is used. A program without the permission to
        declare passes `look`, which raises NotDeclared while names are missing, and waits.
        """

        async def session(connection: AbstractConnection) -> None:
            self._connection = connection
            while not connection.is_closed:
                try:
                    async with asyncio.timeout(DECLARE_TIMEOUT):
                        if look is not None:
                            await look(connection)
                        channel = await open_channel(connection)
                        if declare is not None:
                            await declare(channel)
                        below = await underlay(channel)
                        confirms = self._confirms_on(below)
                except NotDeclared as error:
                    self._lacks(str(error))
                    await first_of(connection.closed(), asyncio.sleep(_LOOK_AGAIN))
                    if connection.is_closed:
                        self.problem = None
                    continue
                if self.problem is not None:
                    log.info("names_declared", connection=self._name)
                self.problem = None
                self._declined.clear()
                self._unanswered.clear()
                self._open = below, confirms
                self._channel.set_result(channel)
                self._known.set()
                try:
                    await first_of(
                        connection.closed(),
                        channel.closed(),
                        self._declined.wait(),
                        self._unanswered.wait(),
                    )
                finally:
                    self._forget()
                if self._unanswered.is_set():
                    log.warning(
                        "publishing_unanswered", connection=self._name, using="another node"
                    )
                    return
                if self._declined.is_set():
                    await self._give_up(channel, confirms)

        keep = keep_trying if optional else keep_connected
        await keep(self._settings, self._name, session)

    def _lacks(self, problem: str) -> None:
        if self.problem != problem:
            log.warning("names_not_declared", connection=self._name, error=problem, retrying=True)
        self.problem = problem
        self._known.set()

    async def _give_up(self, channel: AbstractChannel, confirms: Confirms) -> None:
        """Close a channel on which the broker declined a message.

        A channel that first used a quorum queue while the node of its leader was failing keeps
        asking that node, and declines all messages until it is back (RabbitMQ 3.10). A new channel
        finds the new leader. Messages in flight get their confirms first.

        Raises TimeoutError if the channel does not close: it may wait for the lost node, for 7 s
        (Erlang's `net_setuptime`), and answers nothing meanwhile. Another node may be faster.
        """
        log.warning("publishing_declined", connection=self._name, using="a new channel")
        with suppress(TimeoutError):
            async with asyncio.timeout(_GIVE_UP):
                await confirms.answered()
        async with asyncio.timeout(_GIVE_UP):
            await close_channel(channel)
        await asyncio.sleep(PAUSE)

    @property
    def is_ready(self) -> bool:
        return self._channel.done()

    async def is_blocked(self) -> bool:
        """Whether RabbitMQ has said that it takes no messages from us: an alarm."""
        return self._connection is not None and await blocked.is_blocked(self._connection)

    async def wait_ready(self) -> None:
        """Return once a channel is open and its names are declared, or `problem` says why not.

        Raises ServiceUnavailable if that takes longer than the startup timeout and one connection
        attempt: the broker may be reachable, but does not let us declare what we need.
        """
        try:
            async with asyncio.timeout(self._settings.startup_timeout + CONNECT_TIMEOUT):
                await self._known.wait()
        except TimeoutError:
            shown = without_password(self._settings.amqp_url.get_secret_value())
            raise ServiceUnavailable(
                f"cannot declare exchanges and queues on RabbitMQ at {shown}"
            ) from None

    async def declare(self, what: Callable[[AbstractChannel], Awaitable[object]]) -> None:
        """Declare something more on the publishing channel. Raises ServiceUnavailable."""
        try:
            with lost_is_an_error():
                async with asyncio.timeout(self._settings.confirm_timeout):
                    await what(await asyncio.shield(self._channel))
        except AWAY as error:
            raise ServiceUnavailable(f"RabbitMQ: {reason(error)}") from error

    async def publish(self, exchange: str, routing_key: str, message: aio_pika.Message) -> None:
        """Return once the broker has confirmed that it stored `message` in a queue.

        Raises PublishRefused if the broker declined it or lacks the exchange or queue, Unroutable
        if no queue is bound for it, and PublishUnknown if there was no confirm within
        `confirm_timeout` seconds, including a reconnect.
        """
        await self.send(exchange, routing_key, message.body, message.properties)

    async def send(
        self, exchange: str, routing_key: str, body: bytes, properties: Basic.Properties
    ) -> None:
        """`publish` for a message that is already encoded as body and properties."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        until = began + self._settings.confirm_timeout
        confirms = None
        try:
            with lost_is_an_error():
                while (confirms := self._confirms()) is None:
                    if self.problem is not None:
                        raise PublishRefused(self.problem)
                    async with asyncio.timeout_at(until):
                        await asyncio.shield(self._channel)
                await confirms.publish(exchange, routing_key, body, properties, until)
                self._answered(confirms)
        except PublishError as error:
            self._answered(confirms)
            raise Unroutable(f"no queue is bound for the routing key {routing_key}") from error
        except DeliveryError as error:
            if self._is_open(confirms):
                self._declined.set()
            raise PublishRefused("RabbitMQ declined the message (negative confirm)") from error
        except AWAY as error:
            if isinstance(error, TimeoutError) and self._is_open(confirms):
                self._doubt(began)
            raise PublishUnknown(f"RabbitMQ did not confirm: {reason(error)}") from error

    def _confirms(self) -> Confirms | None:
        """Of the channel, if one is open."""
        # A channel may be closed for some turns of the loop before `run` notices. What is published
        # on it then would fail at once, instead of waiting for the next one.
        if self._open is not None and self._open[0].is_closed:
            self._forget()
        return None if self._open is None else self._open[1]

    def _is_open(self, confirms: Confirms | None) -> bool:
        """What a channel of a node that was left says tells nothing of the next node."""
        return self._open is not None and self._open[1] is confirms

    def _forget(self) -> None:
        self._open = None
        if self._channel.done():
            self._channel = asyncio.Future()

    def _answered(self, confirms: Confirms | None) -> None:
        if self._is_open(confirms):
            self._answered_at = asyncio.get_running_loop().time()
            self._moves_left = self._most_moves

    def _doubt(self, since: float) -> None:
        """Leave a node that has answered no publish for a whole `confirm_timeout`.

        A node that a network partition cuts off from the others still accepts connections and
        messages, but cannot confirm any: for a minute, until it notices, or for as long as the
        partition lasts. Each other node is tried once. If none answers either, that is not the
        reason: a memory or disk alarm stops all of them.
        """
        if self._answered_at < since and self._moves_left and not self._unanswered.is_set():
            self._moves_left -= 1
            self._unanswered.set()
