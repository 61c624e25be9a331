"""The worker's composition root: creates, starts and stops its parts."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from shared.aio.tasks import end, first_of
from shared.amqp.blocked import BlockedWatch
from shared.amqp.connecting.access import check_files
from shared.amqp.connecting.broker import keep_connected
from shared.amqp.connecting.link import Link
from shared.amqp.policies.watch import watch_policies
from shared.amqp.publisher import Publisher
from shared.amqp.topology import Topology
from shared.amqp.traced_publisher import publisher_for
from shared.http.health import add_health, add_metrics, new_registry
from shared.lifecycle import Lifetime, Shutdown, allow_many_files
from shared.postgres.database import Database, connected
from shared.postgres.migrate import wait_until_current
from shared.postgres.replication import ReplicationWatch
from shared.services.checks import Dependencies, Service
from shared.services.warnings import Warnings
from shared.states import Containment
from shared.telemetry.tracing import Tracer, tracing
from worker import monitoring_server
from worker.dead_letters.keeping.keeper import Keeper
from worker.decisions.decider import Decider
from worker.docker.service import DockerService, docker_service, socket_path
from worker.healing.parts import Parts, healing_of
from worker.hosts.heartbeat import HostRegistration
from worker.hosts.host_worker import HeartbeatAnswer
from worker.intake.consumer import Consumer
from worker.intake.old_host_queue import OldHostQueue
from worker.intake.settler import Settler
from worker.launches import socket_server
from worker.launches.api import LauncherApi
from worker.launches.claims import Claims
from worker.launches.completions import Completions
from worker.launches.expiry import Expiry
from worker.launches.lost_runs import LostRunWatch
from worker.launches.notes.launch_notes import LaunchNotes
from worker.launches.run_cgroups import RunCgroups
from worker.leftovers.kept_runs import KeptRuns
from worker.leftovers.leftovers import Leftovers
from worker.memory.memory import Memory
from worker.messages.headers import HistoryReader
from worker.messages.tolerant_decoding import read_any_property
from worker.metrics import WorkerMetrics
from worker.open_commands.open_commands import OpenCommands
from worker.open_commands.wakes import Wakes
from worker.outbox.answers import Answers
from worker.outbox.relay import Relay
from worker.outbox.replies import Replies
from worker.postgres_watch import PostgresWatch
from worker.priority import take_precedence
from worker.processes import cgroup
from worker.processes.known_launchers import KnownLaunchers
from worker.processes.privileges import own_privileges
from worker.registering.consumer import RegistrationConsumer
from worker.registering.settler import RegistrationSettler
from worker.settings import ContainmentPolicy, WorkerSettings
from worker.startup import listening_at, require_own_proc, runs_root_of
from worker.stop.run_stopper import RunStopper
from worker.stop.stops import Stops
from worker.threads import start_threads
from worker.upkeep.daily import DailyUpkeep

log = structlog.get_logger(__name__)


async def serve(settings: WorkerSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ServiceUnavailable, SchemaError and UserError."""
    # A pidfd per launcher and up to a few hundred per stop.
    allow_many_files()
    take_precedence()
    start_threads()
    read_any_property()
    require_own_proc()
    check_files(settings)
    runs_root = runs_root_of(settings)
    async with (
        tracing(settings, "cancel-worker", **{"host.name": settings.host_name}) as tracer,
        connected(settings) as database,
    ):
        await wait_until_current(database, settings.startup_timeout)
        try:
            async with (
                docker_service(settings, database, runs_root) as docker,
                asyncio.TaskGroup() as tasks,
            ):
                await _serve(settings, database, runs_root, docker, tracer, tasks)
                raise Shutdown
        except* Shutdown:
            if runs_root is not None:
                cgroup.sweep(runs_root)
            log.info("worker_stopped")


async def _serve(
    settings: WorkerSettings,
    database: Database,
    runs_root: Path | None,
    docker: DockerService | None,
    tracer: Tracer,
    tasks: asyncio.TaskGroup,
) -> None:
    topology = Topology(settings.topology_prefix)
    host = settings.host_name
    registry = new_registry()
    metrics = WorkerMetrics(registry)
    privileges = own_privileges()
    containment = Containment.CGROUP if runs_root else Containment.SESSION
    # Publishing has its own connection: a broker alarm blocks connections that publish.
    publisher = publisher_for(settings, f"cancel-worker {host} publishing", tracer)
    # Events have one too: a declined event costs the channel.
    event_publisher = publisher_for(settings, f"cancel-worker {host} events", tracer)
    replies = Replies(publisher_for(settings, f"cancel-worker {host} replies", tracer))
    relay = Relay(database, event_publisher, topology, settings.broker_user, metrics, replies)
    registration = HostRegistration(
        database,
        host,
        settings.host_heartbeat,
        {"containment": containment, **privileges.as_json()},
    )
    launchers = KnownLaunchers()
    stopper = RunStopper(launchers, docker.containers if docker else None)
    memory = Memory()
    stops = Stops(
        database, settings.kill_wait, tasks, launchers, stopper, relay, tracer, metrics, memory
    )
    decider = Decider(database, host, settings.grace_seconds, launchers, stops, tracer)
    open_commands = OpenCommands(database, host, decider, stops, relay, tracer, metrics)
    lost_run_watch = LostRunWatch(
        database, host, tasks, settings.kill_wait, launchers, stopper, relay, memory
    )
    expiry = Expiry(database, relay, metrics)
    leftovers = Leftovers(
        database,
        settings.leftovers_grace_seconds,
        settings.kill_wait,
        tasks,
        stopper,
        stops,
        metrics,
    )
    notes = LaunchNotes(database, host, runs_root, settings.worker_socket)
    claims = Claims(
        database,
        host,
        RunCgroups(runs_root, required=settings.containment is ContainmentPolicy.CGROUP),
        lost_run_watch,
        privileges,
        relay,
        expiry,
        memory,
        notes,
    )
    completions = Completions(
        database, lost_run_watch, tasks, relay, leftovers, stops, memory, notes
    )
    histories = HistoryReader(
        settings.broker_user, settings.gateway_user, settings.trusted_publishers
    )
    postgres = PostgresWatch(database)
    wakes = Wakes(publisher, topology, tasks)
    answers = Answers(database, replies)
    settler = Settler(
        decider,
        stops,
        publisher,
        topology,
        histories,
        wakes,
        relay,
        answers,
        tracer,
        metrics,
        memory,
    )
    old_host_queue = OldHostQueue(
        database, topology, host, settings.prefetch, settings.host_heartbeat
    )
    consumer = Consumer(
        settler,
        topology,
        host,
        settings.prefetch,
        tasks,
        postgres,
        open_commands,
        old_host_queue,
        metrics,
    )
    registration_settler = RegistrationSettler(
        database, publisher, topology, histories, relay, metrics, memory
    )
    registering = RegistrationConsumer(
        registration_settler, topology, settings.prefetch, postgres, metrics
    )
    keeper = Keeper(database, topology, histories, postgres, relay, replies)
    parts = Parts(
        memory,
        registration_settler,
        settler,
        decider,
        stops,
        stopper,
        lost_run_watch,
        open_commands,
        keeper,
        relay,
        docker.parent_of if docker else lambda _: None,
    )
    healing = healing_of(database, parts, settings, metrics, tasks)
    database.on_connect = healing.wake
    relay.give_way(lambda: consumer.is_behind)
    metrics.show_in_flight(lambda: consumer.in_flight, lambda: stops.number)
    consuming = Link(consumer.session)
    warnings = Warnings()
    alarm = BlockedWatch([publisher, event_publisher], warnings, registry)
    dependencies = _dependencies(database, publisher, consuming, alarm, registry)
    replication = ReplicationWatch(database, settings, warnings, registry)

    def on_heartbeat(answer: HeartbeatAnswer) -> None:
        if answer.has_open_commands:
            open_commands.wake()
        if answer.has_events:
            relay.wake()
        if answer.has_expired:
            expiry.wake()
        if answer.server_started_at is not None:
            healing.heard(answer.server_started_at)

    # Before this worker replaces another one: it must be able to serve.
    with listening_at(settings.worker_socket):
        bound = socket_server.bind(settings.worker_socket, int(settings.worker_socket_mode, 8))
    docker_path = socket_path(settings) if docker else None
    if docker_path is not None:
        with listening_at(docker_path):
            docker_bound = socket_server.bind(docker_path, int(settings.worker_socket_mode, 8))
    monitoring, url = await monitoring_server.listen(
        _monitoring(dependencies, warnings, registry),
        settings.worker_http_host,
        settings.worker_http_port,
    )
    tasks.create_task(dependencies.keep_looking(settings.probe_interval))
    tasks.create_task(replication.keep_looking(settings.probe_interval))
    watch_policies(settings, warnings, registry, tasks)
    log.info(
        "worker_privileges",
        host=host,
        uid=privileges.uid,
        containment=containment,
        signals_all=privileges.signals_all,
        reads_all=privileges.reads_all,
        lists_all=privileges.lists_all,
    )
    # What was started on this host before Postgres was restored, if it was.
    has_launches = await notes.recall(memory)
    await registration.register()
    # From here on there are stops to hand on, so neither a signal nor a broker that is away may
    # end the process at once: each stop would count as taken up in vain.
    lifetime = Lifetime()

    def keep_running(work: Awaitable[object]) -> None:
        tasks.create_task(lifetime.until_fails(work))

    if has_launches:
        await healing.launches_again()
    await lost_run_watch.resume()
    relay.wake()
    open_commands.wake()
    expiry.wake()
    tasks.create_task(healing.run())
    tasks.create_task(expiry.run())
    tasks.create_task(KeptRuns(database, host, stopper, stops).keep_looking())
    taking_up = tasks.create_task(open_commands.run())
    if runs_root is not None:
        cgroup.sweep(runs_root)  # not earlier: an empty cgroup may prove that a run is gone
    keep_running(registration.keep_up(on_heartbeat, on_return=lost_run_watch.resume))
    tasks.create_task(lost_run_watch.keep_watch(every=settings.host_heartbeat))
    keep_running(publisher.run(topology.declare_worker))
    keep_running(event_publisher.run(topology.declare_relay))
    tasks.create_task(
        DailyUpkeep(database, host, settings.retention, settings.host_retention, metrics).run()
    )
    tasks.create_task(relay.run())
    tasks.create_task(replies.run())
    tasks.create_task(answers.run())
    keep_running(keep_connected(settings, f"cancel-worker {host}", consuming.session))
    keep_running(keep_connected(settings, f"cancel-worker {host} runs", registering.session))
    if settings.keep_dead_letters:
        keep_running(keep_connected(settings, f"cancel-worker {host} keeper", keeper.session))
    docker_socket = await docker.serve(docker_bound) if docker else None
    if docker:
        tasks.create_task(docker.sweep(lambda run_id: stops.of(run_id) is not None))
    api = LauncherApi(claims, completions, stops, runs_root, docker_path)
    socket = await socket_server.listen(
        api.app(), bound, settings.worker_connections, settings.worker_connections_per_user
    )
    await first_of(lifetime.until_fails(publisher.wait_ready()), lifetime.over())
    if not lifetime.is_over:
        log.info(
            "worker_ready",
            host=host,
            socket=str(settings.worker_socket),
            http=str(url),
            cgroups=str(runs_root),
        )
    await lifetime.over()
    log.info("worker_stopping")
    await end(taking_up)
    leftovers.hand_over()
    until = asyncio.get_running_loop().time()
    if lifetime.error is None:
        until += settings.worker_shutdown_timeout
    await consumer.stop(until)
    await stops.finish(until)
    await socket.close()
    if docker_socket is not None:
        await docker_socket.close()
    await registration.leave()
    await monitoring.close()
    if lifetime.error is not None:
        raise lifetime.error


def _dependencies(
    database: Database,
    publisher: Publisher,
    consuming: Link,
    alarm: BlockedWatch,
    registry: CollectorRegistry,
) -> Dependencies:
    async def connected_twice() -> bool:
        await alarm.look()
        return publisher.is_ready and consuming.is_up

    return Dependencies(
        {Service.POSTGRES: database.answers, Service.RABBITMQ: connected_twice}, registry
    )


def _monitoring(
    dependencies: Dependencies, warnings: Warnings, registry: CollectorRegistry
) -> web.Application:
    app = web.Application()
    add_health(app, dependencies, warnings)
    add_metrics(app, registry, dependencies.missing)
    return app
