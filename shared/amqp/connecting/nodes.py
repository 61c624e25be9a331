"""Connecting to one of several nodes of a cluster."""

import random
from collections.abc import Awaitable, Callable

from aio_pika.abc import AbstractConnection
from yarl import URL

from shared.amqp.channels import AWAY
from shared.amqp.errors import reason
from shared.configuration.amqp_url import AmqpUrl
from shared.configuration.hosts import Host

Connect = Callable[[URL, float], Awaitable[AbstractConnection]]
"""Connects to one node within that many seconds. Raises one of AWAY."""


class Nodes:
    """The nodes of a URL, for one connection after another."""

    def __init__(self, url: AmqpUrl, connect: Connect) -> None:
        self._url = url
        self._connect = connect
        self._doubted: set[Host] = set()
        self.used: Host | None = None
        """The node of the latest connection."""

    @property
    def any_url(self) -> URL:
        """The URL of the first node, for what is the same for all of them."""
        return URL(self._url.of(self._url.nodes[0]))

    async def connect(self, timeout: float) -> AbstractConnection:
        """Connect to any node, within `timeout` seconds for all of them together.

        In random order, so that programs spread over the nodes and those of a lost node spread over
        the others. Nodes that could not be used the last time come later, and the one of the
        latest connection comes last.

        Raises one of AWAY: for several nodes a ConnectionError, with the reason of each.
        """
        order = random.sample(self._url.nodes, len(self._url.nodes))
        # Those that failed before the latest connection was made may work again; its node failed
        # since then.
        order.sort(key=lambda node: (node == self.used, node in self._doubted))
        problems: dict[str, list[str]] = {}
        self._doubted.clear()
        for node in order:
            url = URL(self._url.of(node))
            try:
                connection = await self._connect(url, timeout / len(order))
            except AWAY as error:
                if len(order) == 1:
                    raise
                self._doubted.add(node)
                problems.setdefault(reason(error, url), []).append(str(node))
            else:
                self.used = node
                return connection
        raise ConnectionError(
            "; ".join(f"{', '.join(nodes)}: {why}" for why, nodes in problems.items())
        )
