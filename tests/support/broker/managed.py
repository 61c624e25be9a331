"""A broker with the management plugin, on which each test has a virtual host of its own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import aiohttp
from yarl import URL

from tools.services import PrivateRabbit, Sandbox
from tools.support.waiting import eventually

_PLUGIN = "rabbitmq_management"


class ManagedBroker:
    def __init__(self, sandbox: Sandbox) -> None:
        """Raises ServicesUnavailable where no RabbitMQ is installed."""
        self._port = sandbox.reserve_port()
        self.rabbit = PrivateRabbit(
            sandbox,
            plugins=[_PLUGIN],
            configuration=f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self._port}\n",
        )

    @property
    def management_url(self) -> str:
        """Without a user."""
        return f"http://127.0.0.1:{self._port}"

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
def managed_broker() -> Iterator[ManagedBroker]:
    with Sandbox() as sandbox:
        broker = ManagedBroker(sandbox)
        broker.rabbit.start()
        yield broker
