"""Commands that publish."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared import lifecycle, logs
from shared.amqp.connecting.access import check_files
from shared.amqp.topology import Topology
from shared.amqp.traced_publisher import publisher_for
from shared.configuration import settings
from shared.configuration.settings import LogLevel, PublishingCommandSettings
from shared.lifecycle import Shutdown
from shared.postgres.database import connected
from shared.postgres.migrate import require_current
from shared.publishing import Publishing
from shared.telemetry.tracing import tracing

T = TypeVar("T")


def with_publisher(name: str, work: Callable[[Publishing], Awaitable[T]]) -> T:
    """Do `work` with the configured database and broker; `name` is that of the connections.

    Raises InvalidSettings, SchemaError and ServiceUnavailable.
    """
    configured = settings.load(PublishingCommandSettings)
    quiet = configured.log_level is LogLevel.INFO  # that a connection is made, say
    logs.configure(configured.log_format, LogLevel.WARNING if quiet else configured.log_level)

    check_files(configured)

    async def run() -> T:
        results: list[T] = []
        async with tracing(configured, name) as tracer, connected(configured) as database:
            await require_current(database)
            publisher = publisher_for(configured, name, tracer)
            publishing = Publishing(
                database, publisher, Topology(configured.topology_prefix), configured.broker_user
            )
            try:
                async with asyncio.TaskGroup() as tasks:
                    # Nothing is declared, so an operator's user needs no permission for it.
                    tasks.create_task(publisher.run())
                    await publisher.wait_ready()
                    results.append(await work(publishing))
                    raise Shutdown
            except* Shutdown:
                pass
        return results[0]

    return lifecycle.run(run())
