"""What the gateway answers to, as its router has it."""

import asyncio

from prometheus_client import CollectorRegistry

from gateway.app import build
from gateway.events.feed import EventFeed
from gateway.monitoring.metrics import GatewayMetrics
from gateway.settings import GatewaySettings
from gateway.waiting import TerminalWatch
from shared.amqp.publisher import Publisher
from shared.postgres.database import connected
from shared.telemetry.tracing import NO_TRACER
from tools.support.system import System


async def routes(system: System) -> set[tuple[str, str]]:
    """Method and path of each route, as in `("GET", "/api/v1/runs/{run_id}")`."""
    settings = GatewaySettings.model_validate(system.environment)
    async with connected(settings) as database, asyncio.TaskGroup() as tasks:
        publisher, watch = Publisher(settings, "test"), TerminalWatch(database)
        metrics = GatewayMetrics(CollectorRegistry())
        feed = EventFeed(1, metrics.streams)
        app = build(settings, database, publisher, watch, feed, tasks, metrics, NO_TRACER)
    return {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None
    }
