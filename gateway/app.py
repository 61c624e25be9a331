"""The gateway's composition root."""

import asyncio
from contextlib import suppress

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from gateway.auth.admission import Gate, Limits, count_unrouted_requests, sweep
from gateway.cancels.bulk import BulkCancelHandler
from gateway.cancels.cancel import CancelHandler
from gateway.cancels.cancellations import CancellationsHandler
from gateway.cancels.publisher import CommandPublisher
from gateway.events.feed import EventFeed
from gateway.events.stream import EventStreams, StreamTimes
from gateway.events.subscription import EventSubscription
from gateway.http.client_address import ClientAddresses
from gateway.http.cors import Cors, answer_preflights
from gateway.http.draining import Draining
from gateway.http.errors import answer_errors
from gateway.http.listener import listening, most_connections
from gateway.http.request_id import bind_request_id
from gateway.monitoring.counts import counts_of_all
from gateway.monitoring.metrics import GatewayMetrics
from gateway.monitoring.queues import QueueMetrics
from gateway.monitoring.statistics import Statistics
from gateway.monitoring.traces import trace_requests
from gateway.openapi.docs import add_docs
from gateway.openapi.operations.cancellations import (
    CANCEL_RUNS,
    GET_CANCELLATION,
    LIST_CANCELLATIONS,
)
from gateway.openapi.operations.cancels import CANCEL_RUN, FORCE_CANCEL_RUN
from gateway.openapi.operations.events import STREAM_EVENTS
from gateway.openapi.operations.registering import POST_RUNS, PUT_RUN
from gateway.openapi.operations.runs import GET_RUN, LIST_RUNS
from gateway.processes.supervised import Supervised
from gateway.runs.get_run import RunHandler
from gateway.runs.list_runs import ListHandler
from gateway.runs.register import RegisterHandler
from gateway.settings import GatewaySettings
from gateway.waiting import TerminalWatch
from shared.amqp.blocked import BlockedWatch
from shared.amqp.connecting.access import check_files
from shared.amqp.policies.watch import watch_policies
from shared.amqp.publisher import Publisher
from shared.amqp.queue_watch import QueueWatch
from shared.amqp.topology import Topology
from shared.amqp.traced_publisher import publisher_for
from shared.errors import ServiceUnavailable
from shared.http.health import add_health, add_metrics, new_registry
from shared.lifecycle import Shutdown, allow_many_files, stop_requested
from shared.postgres.database import Database, connected
from shared.postgres.migrate import wait_until_current
from shared.postgres.replication import ReplicationWatch
from shared.services.checks import Dependencies, Service
from shared.services.warnings import Warnings
from shared.telemetry.tracing import Tracer, tracing

log = structlog.get_logger(__name__)


async def serve(settings: GatewaySettings, supervised: Supervised | None = None) -> None:
    """Serve until SIGTERM or SIGINT; the port is shared by all that are `supervised`.

    Raises ServiceUnavailable, SchemaError and UserError.
    """
    allow_many_files()  # one per client
    name = "cancel-gateway"
    check_files(settings)
    async with tracing(settings, name) as tracer, connected(settings) as database:
        await wait_until_current(database, settings.startup_timeout)
        topology = Topology(settings.topology_prefix)
        publisher = publisher_for(settings, name, tracer)
        watch = TerminalWatch(database)
        registry = new_registry(with_process=supervised is None)
        metrics = GatewayMetrics(registry if supervised is None else counts_of_all(registry))
        # At most half of the connections, so that there are always some for requests.
        feed = EventFeed(most_connections(settings) // 2, metrics.streams)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(publisher.run(look=topology.look))
                tasks.create_task(watch.run())
                tasks.create_task(EventSubscription(settings, topology, feed).run())
                tasks.create_task(sweep(database, every=settings.rate_window))
                await publisher.wait_ready()
                app = build(settings, database, publisher, watch, feed, tasks, metrics, tracer)
                draining = Draining()
                _observe(app, settings, database, publisher, tasks, registry, draining)
                await _listen(settings, app, metrics, draining, supervised)
                raise Shutdown
        except* Shutdown:
            log.info("gateway_stopped")


def build(
    settings: GatewaySettings,
    database: Database,
    publisher: Publisher,
    watch: TerminalWatch,
    feed: EventFeed,
    tasks: asyncio.TaskGroup,
    metrics: GatewayMetrics,
    tracer: Tracer,
) -> web.Application:
    """The API, with everything that its handlers need."""
    commands = CommandPublisher(
        publisher, Topology(settings.topology_prefix), settings.broker_user, metrics.published
    )
    limits = Limits(
        write=settings.write_limit,
        read=settings.read_limit,
        register=settings.register_limit,
        anonymous=settings.anonymous_limit,
        window=settings.rate_window,
    )
    gate = Gate(database, limits, ClientAddresses(settings.trusted_proxies), tasks)
    traced = [trace_requests(tracer)] if tracer.on else []
    cors = Cors(settings.cors_origins)
    preflights = [answer_preflights(cors)] if cors.is_on else []
    app = web.Application(
        middlewares=[
            bind_request_id,
            *traced,
            answer_errors,
            *preflights,
            count_unrouted_requests(gate),
        ],
        client_max_size=settings.body_limit,
    )
    read = RunHandler(gate, database, watch)
    runs = ListHandler(gate, database)
    register = RegisterHandler(gate, database, settings.body_timeout, settings.register_body_limit)
    accepts = metrics.accepts
    cancel = CancelHandler(gate, database, commands, settings.body_timeout, accepts.count)
    bulk = BulkCancelHandler(
        gate,
        database,
        commands,
        body_timeout=settings.body_timeout,
        publish_timeout=settings.confirm_timeout,
        counted=accepts.count,
    )
    cancellations = CancellationsHandler(gate, database, watch)
    # The router tries them in this order.
    app.router.add_post(CANCEL_RUN.path, accepts.counting_failures(cancel.cancel))
    app.router.add_get(GET_RUN.path, metrics.counting_reads(read.handle))
    app.router.add_post(FORCE_CANCEL_RUN.path, accepts.counting_failures(cancel.force_cancel))
    app.router.add_post(CANCEL_RUNS.path, accepts.counting_failures(bulk.handle))
    app.router.add_get(LIST_CANCELLATIONS.path, metrics.counting_reads(cancellations.list))
    app.router.add_get(GET_CANCELLATION.path, metrics.counting_reads(cancellations.get))
    times = StreamTimes(settings.response_timeout, settings.event_stream_duration)
    streams = EventStreams(gate, feed, times)
    app.router.add_get(STREAM_EVENTS.path, streams.handle)
    app.router.add_get(LIST_RUNS.path, metrics.counting_reads(runs.handle))
    app.router.add_put(PUT_RUN.path, metrics.counting_registers(register.put_run))
    app.router.add_post(POST_RUNS.path, metrics.counting_registers(register.post_runs))
    add_docs(app)

    async def release_waiting(_: web.Application) -> None:
        watch.release()
        feed.close()

    app.on_shutdown.append(release_waiting)
    return app


def _observe(
    app: web.Application,
    settings: GatewaySettings,
    database: Database,
    publisher: Publisher,
    tasks: asyncio.TaskGroup,
    registry: CollectorRegistry,
    draining: Draining,
) -> None:
    """Add the monitoring endpoints, and start the probes behind them."""

    warnings = Warnings()
    alarm = BlockedWatch([publisher], warnings, registry)

    async def publishes() -> bool:
        await alarm.look()
        if publisher.problem is not None:
            raise ServiceUnavailable(publisher.problem)
        return publisher.is_ready

    dependencies = Dependencies(
        {Service.POSTGRES: database.answers, Service.RABBITMQ: publishes}, registry
    )
    queues = QueueWatch(Topology(settings.topology_prefix), QueueMetrics(registry).tell)
    statistics = Statistics(database, registry)
    replication = ReplicationWatch(database, settings, warnings, registry)
    tasks.create_task(replication.keep_looking(settings.probe_interval))
    watch_policies(settings, warnings, registry, tasks)
    tasks.create_task(dependencies.keep_looking(settings.probe_interval))
    tasks.create_task(queues.keep_looking(settings, "cancel-gateway watching queues"))
    add_health(app, dependencies, warnings, is_stopping=lambda: draining.has_begun)
    add_metrics(app, registry, dependencies.missing, statistics.refresh)


async def _listen(
    settings: GatewaySettings,
    app: web.Application,
    metrics: GatewayMetrics,
    draining: Draining,
    supervised: Supervised | None,
) -> None:
    refused = metrics.connections_refused
    async with listening(settings, app, draining, refused, supervised is not None) as url:
        # Not earlier: so far there is nothing to finish, and a signal may end the process at once.
        stop = stop_requested()
        log.info("gateway_ready", url=str(url))
        if supervised is not None:
            supervised.tell_ready()
            supervised.stop_when_alone(stop)
        await stop.wait()
        if settings.gateway_drain_duration:
            log.info("gateway_draining", seconds=settings.gateway_drain_duration)
            draining.begin()
            stop.clear()  # a second signal ends it
            with suppress(TimeoutError):
                async with asyncio.timeout(settings.gateway_drain_duration):
                    await stop.wait()
        log.info("gateway_stopping")
