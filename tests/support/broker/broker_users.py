"""A broker of a test's own, with users that may do what docs/messages.md says, or less."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from yarl import URL

from shared.amqp.keys import CANCEL_KEY, QUEUED_KEY, REST_KEY
from shared.amqp.topology import Topology
from tests.support.repository.documents import Permissions, permissions
from tools.services import PrivateRabbit, Sandbox

_PASSWORD: Final = "for-these-tests-alone"
OWN_QUEUE: Final = "consumer.runs"
"""A queue that a consumer of events may have."""


class Broker:
    def __init__(self, sandbox: Sandbox) -> None:
        """Raises ServicesUnavailable where no RabbitMQ is installed."""
        self._sandbox = sandbox
        self._rabbit = PrivateRabbit(sandbox)

    @property
    def url(self) -> str:
        """The URL of a user who may do everything."""
        return self._rabbit.url

    def url_of(self, user: str) -> str:
        return str(URL(self.url).with_user(user).with_password(_PASSWORD))

    def start(self) -> None:
        """Start it and follow the document."""
        self._rabbit.start()
        self.add_users(permissions())

    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl`; what it printed. Raises ServerFailed."""
        return self._rabbit.ctl(*arguments)

    def add_users(self, users: Mapping[str, Permissions], names: Topology = Topology()) -> None:  # noqa: B008 - it is frozen
        """Add many at once."""
        definitions = {
            "users": [{"name": user, "password": _PASSWORD, "tags": []} for user in users],
            "permissions": [
                {
                    **{"user": user, "vhost": "/"},
                    **{"configure": it.configure, "write": it.write, "read": it.read},
                }
                for user, it in users.items()
            ],
            "topic_permissions": [
                {
                    **{"user": user, "vhost": "/", "exchange": names.commands},
                    **{"write": it.publish, "read": it.bind},
                }
                for user, it in users.items()
                if it.publish is not None
            ],
        }
        file = self._sandbox.path / "definitions.json"
        file.write_text(json.dumps(definitions))
        self._rabbit.ctl("import_definitions", str(file))


@contextmanager
def broker_with_users() -> Iterator[Broker]:
    with Sandbox() as sandbox:
        broker = Broker(sandbox)
        broker.start()
        broker.ctl("await_startup")  # it accepts connections a little before rabbitmqctl's commands
        yield broker


def narrower(user: str, names: Topology) -> dict[str, Permissions]:
    """The document's permissions, and each that allows one operation on one name less."""
    prefixed = {
        operation: pattern.replace("runs", f"{names.prefix}runs")
        for operation, pattern in permissions()[user]._asdict().items()
        if pattern is not None
    }
    allowed = Permissions(**prefixed)
    concerned = [
        *(names.commands, names.dead_exchange, names.events, names.wakes),
        *(*names.queues(), "amq.default"),
        *(CANCEL_KEY, REST_KEY, QUEUED_KEY, OWN_QUEUE),
    ]
    queue = f"{names.events}.gateway."  # and a random ending
    less = {
        f"without {operation} {name}": allowed._replace(
            **{operation: f"(?!^{re.escape(name)}{'' if name == queue else '$'}){pattern}"}
        )
        for operation, pattern in allowed._asdict().items()
        for name in (*concerned, queue)
        if pattern is not None and re.search(pattern, f"{name}1" if name == queue else name)
    }
    return {"whole": allowed, **less}


async def get(channel: AbstractChannel, name: str) -> None:
    await (await channel.get_queue(name, ensure=False)).get(fail=False)


async def send(channel: AbstractChannel, exchange: str, key: str) -> None:
    target = (
        await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
    )
    await target.publish(aio_pika.Message(b"{}"), key, mandatory=True)


async def _work_as_gateway(connection: AbstractConnection, names: Topology) -> None:
    await names.look(connection)
    channel = await connection.channel(on_return_raises=True)
    await send(channel, names.commands, REST_KEY)
    await names.look_for_events(connection)
    await names.declare_events_queue(channel, queue := names.new_events_queue())
    await get(channel, queue)


async def _work_as_worker(connection: AbstractConnection, names: Topology) -> None:
    channel = await connection.channel(on_return_raises=True)
    await names.declare_worker(channel)
    wakes = await names.declare_wake_queue(channel, "h1")
    for queue in (names.cancel, names.rest, names.queued, wakes.name, names.dead):
        await get(channel, queue)
    await send(channel, names.wakes, "h1")
    await send(channel, names.dead_exchange, names.cancel)
    await send(channel, "", names.retry(1))
    for key in (CANCEL_KEY, QUEUED_KEY):  # replays
        await send(channel, names.commands, key)
    events = await channel.get_exchange(names.events, ensure=False)
    await events.publish(aio_pika.Message(b"{}"), "run.finished", mandatory=False)


async def _work_as_consumer(connection: AbstractConnection, names: Topology) -> None:
    channel = await connection.channel()
    queue = await channel.declare_queue(OWN_QUEUE, durable=True, arguments={"x-max-length": 9})
    await queue.bind(names.events, "#")
    await get(channel, OWN_QUEUE)
    await queue.unbind(names.events, "#")
    await channel.queue_delete(OWN_QUEUE)


WORK: Final = {
    "gateway": _work_as_gateway,
    "worker": _work_as_worker,
    "consumer": _work_as_consumer,
}
