"""The console's composition root."""

import asyncio
from importlib import resources
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from yarl import URL

from shared.amqp.connecting.access import check_files
from shared.amqp.publisher import Publisher
from shared.amqp.queue_watch import QueueWatch
from shared.amqp.topology import Topology
from shared.amqp.traced_publisher import publisher_for
from shared.errors import ServiceUnavailable, UserError
from shared.http.connection_slots import ConnectionLimiter, ConnectionSlots
from shared.http.health import add_health, new_registry
from shared.http.limits import TimeLimits
from shared.http.server import HttpServer, why_not_listening
from shared.http.server import serve as serve_http
from shared.lifecycle import Shutdown, stop_requested
from shared.postgres.database import Database, connected
from shared.postgres.migrate import wait_until_current
from shared.publishing import Publishing
from shared.services.checks import Dependencies, Service
from shared.telemetry.tracing import tracing
from worker.console.audit.page import AuditPage
from worker.console.hosts.pages import HostPages
from worker.console.letters.pages import add_letters
from worker.console.letters.works import Works
from worker.console.live.changes import Changes
from worker.console.live.stream import LiveStream
from worker.console.now.page import NowPage
from worker.console.now.services import Queues
from worker.console.runbook import sections
from worker.console.runbook.page import show_runbook
from worker.console.runs.list_page import RunsPage
from worker.console.runs.run_page import RunPage
from worker.console.settings import ConsoleSettings
from worker.console.web.connection import ConsoleConnection
from worker.console.web.errors import show_errors
from worker.console.web.rendering import add_rendering
from worker.console.web.security import add_security_headers, check_host
from worker.console.web.sessions import Sessions
from worker.console.web.sign_in import SIGN_IN, SIGN_OUT, STATIC, SignIn
from worker.dead_letters.replays.replay import Replayer

log = structlog.get_logger(__name__)

_NAME: Final = "cancel-worker console"
_LIMITS: Final = TimeLimits(head=10.0, response=30.0, idle=75.0)  # seconds
_SHUTDOWN: Final = 5.0  # seconds
_MAX_CONNECTIONS: Final = 500
_MAX_FORM: Final = 16 * 1024 * 1024
"""Bytes. An edited letter may be as large as the largest message, with each byte escaped."""


async def serve(settings: ConsoleSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ServiceUnavailable, SchemaError and UserError."""
    check_files(settings)
    async with tracing(settings, _NAME) as tracer, connected(settings) as database:
        await wait_until_current(database, settings.startup_timeout)
        publisher = publisher_for(settings, _NAME, tracer)
        changes = Changes(database)
        topology = Topology(settings.topology_prefix)
        publishing = Publishing(database, publisher, topology, settings.broker_user)
        works = Works(database, Replayer(database, publisher, topology, settings.broker_user))
        try:
            async with asyncio.TaskGroup() as tasks:
                # Only replays and cancels need RabbitMQ, so nothing waits for it here.
                tasks.create_task(publisher.run(optional=True))
                tasks.create_task(changes.run())
                dependencies = _dependencies(database, publisher, new_registry())
                tasks.create_task(dependencies.keep_looking(settings.probe_interval))
                queues = Queues()
                watch = QueueWatch(topology, queues.tell)
                tasks.create_task(watch.keep_looking(settings, f"{_NAME} watching queues"))
                app = build(settings, publishing, changes, dependencies, queues, works)
                await _serve_until_stopped(app, settings)
                await works.end()
                raise Shutdown
        except* Shutdown:
            log.info("console_stopped")


def build(
    settings: ConsoleSettings,
    publishing: Publishing,
    changes: Changes,
    dependencies: Dependencies,
    queues: Queues,
    works: Works,
) -> web.Application:
    """The pages, with everything that they need."""
    database = publishing.database
    public = settings.console_origin
    over_tls = public is not None and public.scheme == "https"
    sign_in = SignIn(database, Sessions(), over_tls=over_tls)
    app = web.Application(
        middlewares=[
            show_errors,
            check_host(settings.console_host, public),
            sign_in.middleware(),
        ],
        client_max_size=_MAX_FORM,
    )
    app.on_response_prepare.append(add_security_headers)
    add_rendering(app, {"Section": sections.Section, "of_letter": sections.of_letter})
    add_health(app, dependencies)
    app.router.add_static(STATIC, Path(str(resources.files("worker.console") / "static")))
    app.router.add_get(SIGN_IN, sign_in.show)
    app.router.add_post(SIGN_IN, sign_in.sign_in)
    app.router.add_post(SIGN_OUT, sign_in.sign_out)
    app.router.add_get("/signed-in", sign_in.signed_in)
    app.router.add_get("/live", LiveStream(changes).handle)
    app.router.add_get("/", NowPage(database, dependencies, queues).handle)
    hosts = HostPages(database)
    app.router.add_get("/hosts", hosts.list)
    app.router.add_get("/hosts/{name}", hosts.show)
    app.router.add_get(sections.ADDRESS, show_runbook)
    add_letters(app, database, publishing.publisher, works)
    app.router.add_get("/runs", RunsPage(database).handle)
    run = RunPage(publishing)
    app.router.add_get("/runs/{run_id}", run.show)
    app.router.add_post("/runs/{run_id}/cancel", run.cancel)
    app.router.add_get("/audit", AuditPage(database).handle)

    async def end_streams(_: web.Application) -> None:
        changes.end()

    app.on_shutdown.append(end_streams)
    return app


def _dependencies(
    database: Database, publisher: Publisher, registry: CollectorRegistry
) -> Dependencies:
    async def publishes() -> bool:
        if publisher.problem is not None:
            raise ServiceUnavailable(publisher.problem)
        return publisher.is_ready

    return Dependencies({Service.POSTGRES: database.answers, Service.RABBITMQ: publishes}, registry)


async def _serve_until_stopped(app: web.Application, settings: ConsoleSettings) -> None:
    server = await _listen(app, settings.console_host, settings.console_port)
    stop = stop_requested()
    host, port = server.address
    log.info("console_ready", url=str(URL.build(scheme="http", host=host, port=port)))
    try:
        await stop.wait()
        log.info("console_stopping")
    finally:
        await server.close()


async def _listen(app: web.Application, host: str, port: int) -> HttpServer:
    loop = asyncio.get_running_loop()
    limiter = ConnectionLimiter("console", [ConnectionSlots(_MAX_CONNECTIONS)], lambda _: None)
    try:
        return await serve_http(
            app,
            ConsoleConnection,
            _LIMITS,
            limiter,
            lambda protocol: loop.create_server(protocol, host, port),
            _SHUTDOWN,
        )
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}: {why_not_listening(error)}") from None
