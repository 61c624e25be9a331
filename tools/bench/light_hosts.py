"""Hosts without runs to stop: each is registered, beats, and waits for wakes as a worker does.

    python -m tools.bench.light_hosts PREFIX NUMBER

One broker connection of each has the consumers of a worker, except for the gateway's commands:
what is published to the other queues would be lost here, and ends the program. With `--idle`,
there are NUMBER connections that do nothing, and no hosts. Prints a line {"event": "hosts_ready"},
and serves until SIGTERM.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import uvloop
from aio_pika.abc import AbstractConnection

from shared.aio.tasks import first_of
from shared.amqp.channels import open_channel, underlay
from shared.amqp.connecting.broker import keep_connected
from shared.amqp.topology import Topology
from shared.configuration import settings as configuration
from shared.lifecycle import Shutdown, allow_many_files
from shared.postgres.database import Database, connected
from worker.hosts.heartbeat import HostRegistration
from worker.messages.delivery import Delivery, consume
from worker.settings import WorkerSettings

_AT_ONCE: Final = 20
"""Hosts that start at the same time."""


_Session = Callable[[asyncio.Event, AbstractConnection], Awaitable[None]]
"""Sets the event once it has begun, and ends with its connection."""


class _LightHost:
    def __init__(
        self, settings: WorkerSettings, database: Database, host: str, lost: asyncio.Event
    ) -> None:
        """`lost` is set when it gets a message that is for a real worker."""
        self._settings = settings
        self._topology = Topology(settings.topology_prefix)
        self._registration = HostRegistration(database, host, settings.host_heartbeat, {})
        self._host = host
        self._lost = lost

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Return once it is registered and consumes; `tasks` gets what then goes on."""
        await self._registration.register()
        tasks.create_task(self._registration.keep_up(lambda _: None, self._registration.register))
        await _connect(self._settings, f"cancel-worker {self._host}", self._consume, tasks)

    async def _consume(self, begun: asyncio.Event, connection: AbstractConnection) -> None:
        """What the consumer, the registering and the keeper of a worker do, on one connection."""
        channel = await open_channel(connection)
        await self._topology.declare_worker(channel)
        wakes = await self._topology.declare_wake_queue(channel, self._host)
        raw = await underlay(channel)
        await consume(raw, wakes.name, self._woken, no_ack=True)
        await channel.set_qos(prefetch_count=self._settings.prefetch)
        for queue in (self._topology.cancel, self._topology.queued, self._topology.dead):
            await consume(raw, queue, self._lose)
        begun.set()
        await first_of(channel.closed())

    async def _woken(self, _: Delivery) -> None:
        """Its runs have no commands."""

    async def _lose(self, _: Delivery) -> None:
        self._lost.set()


async def _connect(
    settings: WorkerSettings, name: str, session: _Session, tasks: asyncio.TaskGroup
) -> None:
    """Return once `session` has begun."""
    begun = asyncio.Event()
    tasks.create_task(keep_connected(settings, name, partial(session, begun)))
    await begun.wait()


async def _do_nothing(begun: asyncio.Event, connection: AbstractConnection) -> None:
    channel = await open_channel(connection)
    begun.set()
    await first_of(channel.closed())


async def _serve(settings: WorkerSettings, names: Sequence[str], *, idle: bool) -> None:
    """Raise Shutdown after SIGTERM."""
    stop, lost = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    places = asyncio.Semaphore(_AT_ONCE)
    async with connected(settings) as database, asyncio.TaskGroup() as tasks:

        async def start(name: str) -> None:
            async with places:
                if idle:
                    await _connect(settings, name, _do_nothing, tasks)
                else:
                    await _LightHost(settings, database, name, lost).start(tasks)

        async with asyncio.TaskGroup() as starting:
            for name in names:
                starting.create_task(start(name))
        print(json.dumps({"event": "hosts_ready"}), flush=True)
        await first_of(stop.wait(), lost.wait())
        if lost.is_set():
            sys.exit("a message that was for a real worker is lost")
        raise Shutdown


def main(prefix: str, number: str, *options: str) -> None:
    allow_many_files()
    names = [f"{prefix}{each}" for each in range(int(number))]
    serving = _serve(configuration.load(WorkerSettings), names, idle="--idle" in options)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        try:
            loop.run(serving)
        except* Shutdown:
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
