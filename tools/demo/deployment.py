"""What the demo plays on: all of compose.yaml where Docker is, else two servers alone."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tools.demo import compose_up
from tools.demo.screen import Screen
from tools.services import Services, provide
from tools.support.compose import ComposeFailed, Stack


@dataclass(frozen=True, slots=True)
class Deployment:
    """`stack` has a migrated schema, a gateway at `url` and a runner host; without it, nothing."""

    what: str
    services: Services
    stack: Stack | None = None
    url: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    """For a worker beside it."""


@contextmanager
def deployed(screen: Screen) -> Iterator[Deployment]:
    """For the length of the block. Raises ServicesUnavailable."""
    with ExitStack() as entered:
        deployment = _composed_if_possible(entered, screen)
        if deployment is None:
            services = entered.enter_context(provide(screen.note))
            deployment = Deployment("PostgreSQL and RabbitMQ", services)
        yield deployment


def _composed_if_possible(entered: ExitStack, screen: Screen) -> Deployment | None:
    if not compose_up.applies(screen):
        return None
    try:
        return entered.enter_context(_composed(screen))
    except ComposeFailed as error:
        # An engine whose builds reach no package index, say: the demo is not about that.
        screen.note(f"{error}; continuing without Docker Compose")
        return None


@contextmanager
def _composed(screen: Screen) -> Iterator[Deployment]:
    stack = Stack()
    screen.command(f"docker compose --project-name {stack.name} up --build --wait")
    screen.note("the first time, this takes a few minutes")
    try:
        deployment = asyncio.run(_up(stack))
        yield deployment
    finally:
        screen.note("docker compose down --volumes")
        asyncio.run(stack.down())


async def _up(stack: Stack) -> Deployment:
    await stack.up()
    postgres = await stack.address("postgres", 5432)
    rabbitmq = await stack.address("rabbitmq", 5672)
    owner, worker = (stack.passwords[f"{name}_PASSWORD"] for name in ("POSTGRES", "WORKER"))
    services = Services(
        database_url=f"postgresql://run_cancel:{owner}@{postgres}/run_cancel",
        amqp_url=f"amqp://worker:{worker}@{rabbitmq}/",
        origin="docker compose",
    )
    url = f"http://{await stack.address('gateway', 8080)}"
    what = "PostgreSQL, RabbitMQ, gateway, and a worker in its container"
    return Deployment(what, services, stack, url, {"CANCEL_GATEWAY_USER": "gateway"})
