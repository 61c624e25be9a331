"""The gateway's composition root."""

import asyncio

import structlog
from aiohttp import web
from yarl import URL

from gateway.cancel import CancelHandler
from gateway.errors import answer_errors
from gateway.health import add_health
from gateway.publisher import CommandPublisher
from gateway.runs import RunHandler
from shared.broker import Publisher
from shared.cli import UserError
from shared.database import Database, connected
from shared.lifecycle import Shutdown, stop_requested
from shared.migrate import require_current
from shared.settings import GatewaySettings
from shared.topology import Topology

log = structlog.get_logger(__name__)


async def serve(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ServiceUnavailable, SchemaError and UserError."""
    async with connected(settings) as database:
        await require_current(database)
        topology = Topology(settings.topology_prefix)
        publisher = Publisher(settings, "cancel-gateway")
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(publisher.run(topology.declare_exchange))
                await publisher.wait_ready()
                await _listen(settings, build(settings, database, publisher, topology))
                raise Shutdown
        except* Shutdown:
            log.info("gateway_stopped")


def build(
    settings: GatewaySettings, database: Database, publisher: Publisher, topology: Topology
) -> web.Application:
    """The application, with all that its handlers need."""
    broker_user = URL(settings.amqp_url.get_secret_value()).user or "guest"
    commands = CommandPublisher(publisher, topology, broker_user)
    app = web.Application(middlewares=[answer_errors], client_max_size=settings.body_limit)
    app.router.add_get("/api/v1/runs/{run_id}", RunHandler(database))
    app.router.add_post("/api/v1/runs/{run_id}/cancel", CancelHandler(database, commands))
    add_health(app, database, publisher)
    return app


async def _listen(settings: GatewaySettings, app: web.Application) -> None:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=settings.gateway_shutdown_timeout)
    await runner.setup()
    # Only now: until here there is nothing to finish, and a signal may end the process at once.
    stop = stop_requested()
    site = web.TCPSite(runner, settings.gateway_host, settings.gateway_port)
    try:
        await site.start()
    except OSError as error:
        raise UserError(
            f"cannot listen on {settings.gateway_host}:{settings.gateway_port}: {error.strerror}"
        ) from None
    try:
        host, port = runner.addresses[0][:2]
        log.info("gateway_ready", url=f"http://{host}:{port}")
        await stop.wait()
        log.info("gateway_stopping")
    finally:
        await runner.cleanup()
