"""A broker with the management plugin, on which each test has a virtual host of its own."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

import aiohttp
from yarl import URL

from tools.services import ContainerRabbit, PrivateRabbit, Sandbox
from tools.support.waiting import eventually

_PLUGIN: Final = "rabbitmq_management"
_PORT: Final = 15672


@dataclass(frozen=True, slots=True)
class ManagedBroker:
    rabbit: PrivateRabbit | ContainerRabbit
    management_url: str
    """Without a user."""

    def is_older_than(self, major: int) -> bool:
        return int(self.rabbit.version.partition(".")[0]) < major

    def disable_statistics(self, yes: bool) -> None:
        """As `management.disable_stats` in rabbitmq.conf does."""
        self.rabbit.ctl(
            "eval",
            f"application:set_env(rabbitmq_management, disable_management_stats, {yes}).".lower(),
        )

    @asynccontextmanager
    async def virtual_host(self) -> AsyncIterator["VirtualHost"]:
        name = uuid4().hex
        user = URL(self.rabbit.url)
        async with aiohttp.ClientSession(
            URL(self.management_url),
            headers={
                "Authorization": aiohttp.encode_basic_auth(user.user or "", user.password or "")
            },
        ) as http:
            host = VirtualHost(name, str(user.with_path(f"/{name}")), http)
            await eventually(lambda: host.put(f"vhosts/{name}"), bool)
            await host.put(f"permissions/{name}/{user.user}", configure=".*", write=".*", read=".*")
            yield host


class VirtualHost:
    def __init__(self, name: str, url: str, http: aiohttp.ClientSession) -> None:
        self.name = name
        self.url = url
        self._http = http

    async def put(self, path: str, **body: Any) -> bool:
        """Make something by the management API; whether that was accepted."""
        try:
            async with self._http.put(f"/api/{path}", json=body) as answer:
                return answer.status in (HTTPStatus.CREATED, HTTPStatus.NO_CONTENT)
        except aiohttp.ClientConnectionError:  # it listens a little later than for AMQP
            return False

    async def set_policy(
        self, name: str, pattern: str, *, of_operator: bool = False, **definition: Any
    ) -> None:
        """Set a policy. Keys have `_` in place of `-`."""
        kind = "operator-policies" if of_operator else "policies"
        await self._accepted(
            f"{kind}/{self.name}/{name}",
            pattern=pattern,
            definition={key.replace("_", "-"): value for key, value in definition.items()},
            **{"apply-to": "queues" if of_operator else "all"},
        )

    async def remove_policy(self, name: str, *, of_operator: bool = False) -> None:
        kind = "operator-policies" if of_operator else "policies"
        async with self._http.delete(f"/api/{kind}/{self.name}/{name}") as answer:
            answer.raise_for_status()

    async def policy_of(self, queue: str) -> str | None:
        """The policy that RabbitMQ's statistics say of a queue; they lag by some seconds."""
        async with self._http.get(f"/api/queues/{self.name}/{queue}") as answer:
            name: str | None = (await answer.json()).get("policy")
            return name

    async def has_queue(self, queue: str) -> bool:
        async with self._http.get(f"/api/queues/{self.name}/{queue}") as answer:
            return answer.status == HTTPStatus.OK

    async def add_user(self, name: str, password: str, tags: str) -> None:
        """Add a user who may see the virtual host, and has no permission in it."""
        await self._accepted(f"users/{name}", password=password, tags=tags)
        nothing = {"configure": "^$", "write": "^$", "read": "^$"}
        await self._accepted(f"permissions/{self.name}/{name}", **nothing)

    async def _accepted(self, path: str, **body: Any) -> None:
        async with self._http.put(f"/api/{path}", json=body) as answer:
            answer.raise_for_status()


@contextmanager
def _native() -> Iterator[ManagedBroker]:
    with Sandbox() as sandbox:
        port = sandbox.reserve_port()
        listens = f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {port}\n"
        rabbit = PrivateRabbit(sandbox, plugins=[_PLUGIN], configuration=listens)
        rabbit.start()
        yield ManagedBroker(rabbit, f"http://127.0.0.1:{port}")


@contextmanager
def _of_image() -> Iterator[ManagedBroker]:
    """The image has the plugin."""
    with ExitStack() as stack:
        rabbit = ContainerRabbit(stack, ports=[_PORT])
        rabbit.launch()
        rabbit.wait_ready()
        yield ManagedBroker(rabbit, f"http://{rabbit.host}:{rabbit.port_of(_PORT)}")


MANAGED_BROKERS: Final[dict[str, Callable[[], AbstractContextManager[ManagedBroker]]]] = {
    "native": _native,
    "image": _of_image,
}
"""Each raises ServicesUnavailable where it cannot be had."""
