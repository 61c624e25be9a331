"""Postgres and RabbitMQ of a round: always private and native, to be killed at will."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from tests.support.services import (
    PrivatePostgres,
    PrivateRabbit,
    Sandbox,
    ServicesUnavailable,
)


class Broker(Protocol):
    """What faults and checks ask of a broker, be it one node or several."""

    @property
    def url(self) -> str: ...
    def start(self) -> None: ...
    def launch(self) -> None: ...
    def wait_ready(self) -> None: ...
    def kill(self) -> None: ...
    def ctl(self, *arguments: str) -> str: ...


BROKERS: dict[str, Callable[[Sandbox], Broker]] = {"single": PrivateRabbit}
"""By name; `--cluster` takes the one named `cluster`, whoever registers it."""


class Servers:
    """One lock per server: a fault that takes it down keeps the others off it meanwhile."""

    def __init__(self, sandbox: Sandbox, *, cluster: bool) -> None:
        make = BROKERS.get("cluster" if cluster else "single")
        if make is None:
            raise ServicesUnavailable("there is no broker cluster to start here")
        self.rabbit = make(sandbox)
        self.postgres = PrivatePostgres(sandbox)
        self.rabbit_lock = asyncio.Lock()
        self.postgres_lock = asyncio.Lock()

    async def start(self) -> None:
        """The broker takes longest: it boots while initdb runs."""
        await asyncio.to_thread(self.rabbit.launch)
        await asyncio.to_thread(self.postgres.start)
        await asyncio.to_thread(self.rabbit.wait_ready)

    async def ctl(self, *arguments: str) -> str:
        return await asyncio.to_thread(self.rabbit.ctl, *arguments)
