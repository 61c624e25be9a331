"""The gateway's composition root."""

import asyncio

import structlog
from aiohttp import web
from yarl import URL

from gateway.admission import Gate, Limits, count_strays, sweep
from gateway.cancel import CancelHandler
from gateway.client_address import ClientAddresses
from gateway.connection import begin_request
from gateway.docs import add_docs
from gateway.errors import answer_errors
from gateway.health import add_health
from gateway.listener import listening
from gateway.operations import CANCEL_RUN, GET_RUN
from gateway.publisher import CommandPublisher
from gateway.request_id import bind_request_id
from gateway.runs import RunHandler
from gateway.waiting import TerminalWatch
from shared.broker import Publisher
from shared.database import Database, connected
from shared.lifecycle import Shutdown, allow_many_files, stop_requested
from shared.migrate import require_current
from shared.settings import GatewaySettings
from shared.topology import Topology

log = structlog.get_logger(__name__)


async def serve(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ServiceUnavailable, SchemaError and UserError."""
    allow_many_files()  # one per client
    async with connected(settings) as database:
        await require_current(database)
        topology = Topology(settings.topology_prefix)
        publisher = Publisher(settings, "cancel-gateway")
        watch = TerminalWatch(database)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(publisher.run(topology.declare_exchange))
                tasks.create_task(watch.run())
                tasks.create_task(sweep(database, every=settings.rate_window))
                await publisher.wait_ready()
                await _listen(settings, build(settings, database, publisher, watch))
                raise Shutdown
        except* Shutdown:
            log.info("gateway_stopped")


def build(
    settings: GatewaySettings, database: Database, publisher: Publisher, watch: TerminalWatch
) -> web.Application:
    """The application, with all that its handlers need."""
    broker_user = URL(settings.amqp_url.get_secret_value()).user or "guest"
    commands = CommandPublisher(publisher, Topology(settings.topology_prefix), broker_user)
    limits = Limits(
        write=settings.write_limit,
        read=settings.read_limit,
        anonymous=settings.anonymous_limit,
        window=settings.rate_window,
    )
    gate = Gate(database, limits, ClientAddresses(settings.trusted_proxies))
    app = web.Application(
        middlewares=[begin_request, bind_request_id, answer_errors, count_strays(gate)],
        client_max_size=settings.body_limit,
    )
    app.router.add_get(GET_RUN.path, RunHandler(gate, database, watch).handle)
    app.router.add_post(
        CANCEL_RUN.path, CancelHandler(gate, commands, settings.body_timeout).handle
    )
    add_docs(app)
    add_health(app, database, publisher)

    async def release_waiting(_: web.Application) -> None:
        watch.release()

    app.on_shutdown.append(release_waiting)
    return app


async def _listen(settings: GatewaySettings, app: web.Application) -> None:
    async with listening(settings, app) as url:
        # Only now: until here there is nothing to finish, and a signal may end the process at once.
        stop = stop_requested()
        log.info("gateway_ready", url=str(url))
        await stop.wait()
        log.info("gateway_stopping")
