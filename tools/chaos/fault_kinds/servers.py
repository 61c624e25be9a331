"""Faults of the services themselves."""

import asyncio
from random import Random

import aio_pika

from shared.amqp.keys import CANCEL_KEY, REST_KEY
from shared.amqp.topology import Topology
from tools.chaos.faults import Scene, fault
from tools.chaos.system.network import Network, Service
from tools.chaos.system.postgres import TwoServers
from tools.services.cluster.cluster import ALARMED, ENDED, RAISED, Alarm


@fault(is_late=True, takes=Service.RABBIT)
async def broker_killed(scene: Scene, random: Random) -> str:
    """All of it, however many nodes it has."""
    pause = random.uniform(0, 2)
    servers = scene.system.servers
    await asyncio.to_thread(servers.rabbit.kill)
    await asyncio.sleep(pause)
    await asyncio.to_thread(servers.rabbit.launch)
    await asyncio.to_thread(servers.rabbit.wait_ready)
    return f"and started after {pause:.1f} s"


@fault(takes=Service.POSTGRES)
async def postgres_stopped(scene: Scene, random: Random) -> str:
    """As a crash would: sessions are cut off, transactions are lost or recovered from the log."""
    pause = random.uniform(0, 4)
    servers = scene.system.servers
    await asyncio.to_thread(servers.postgres.kill)
    await asyncio.sleep(pause)
    await servers.postgres.restart()
    return f"and started after {pause:.1f} s"


@fault(often=2, of_pair=True, takes=Service.POSTGRES)
async def primary_killed(scene: Scene, random: Random) -> str:
    """The standby takes over, the address follows late, and the old primary returns as a standby.

    Sometimes the standby has lost its connection before: then commits wait for it in vain.
    """
    lost = random.choice([0.0, random.uniform(0.1, 2), random.uniform(5, 8)])
    away, late, back = random.uniform(0, 3), random.uniform(0, 6), random.uniform(0, 6)
    postgres = _two_servers(scene)
    pair = postgres.pair
    if lost:
        await pair.detach()
        await asyncio.sleep(lost)
    await asyncio.to_thread(pair.primary.kill)
    await asyncio.sleep(away)
    await asyncio.to_thread(pair.promote)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_led_over(scene.system.network, pair.primary.url, late))
        await asyncio.sleep(back)
        await asyncio.to_thread(pair.rejoin)
        await postgres.followed()
    return (
        f"{lost:.1f} s after its standby lost it, promoted after {away:.1f} s, address after "
        f"{late:.1f} s, standby after {back:.1f} s"
    )


def _two_servers(scene: Scene) -> TwoServers:
    postgres = scene.system.servers.postgres
    assert isinstance(postgres, TwoServers), "such a fault is only planned with a pair"
    return postgres


async def _led_over(network: Network, primary: str, late: float) -> None:
    await asyncio.sleep(late)
    network.prefer(primary)


@fault(often=2, of_pair=True, takes=Service.POSTGRES)
async def standby_lost(scene: Scene, random: Random) -> str:
    """The servers lose each other: with synchronous replication, commits wait."""
    seconds, postgres = random.uniform(0.5, 8), _two_servers(scene)
    await postgres.pair.detach()
    await asyncio.sleep(seconds)
    await postgres.pair.attach()
    await postgres.followed()
    return f"for {seconds:.1f} s"


@fault(is_late=True, takes=Service.RABBIT)
async def memory_alarm(scene: Scene, random: Random) -> str:
    """Connections that publish are blocked; what they publish meanwhile may go through later."""
    return await _alarm(scene, random, Alarm.MEMORY)


@fault(is_late=True, takes=Service.RABBIT)
async def disk_alarm(scene: Scene, random: Random) -> str:
    """As a memory alarm, from another cause."""
    return await _alarm(scene, random, Alarm.DISK)


async def _alarm(scene: Scene, random: Random, alarm: Alarm) -> str:
    seconds = random.uniform(1, 8)
    servers = scene.system.servers
    await servers.ctl(*RAISED[alarm])
    try:
        await asyncio.sleep(seconds)
        alarms = await servers.ask(ALARMED)
    finally:
        await servers.ctl(*ENDED[alarm])
    return f"for {seconds:.1f} s" + ("" if alarms != "0" else ", but no node had noticed")


@fault(often=0, is_late=True, takes=Service.RABBIT)
async def binding_removed(scene: Scene, random: Random) -> str:
    """An operator's mistake, mended at once. Not usual: what a retry queue would deliver just
    then, the broker offers again only after 180 s."""
    seconds = random.uniform(1, 3)
    topology = Topology()
    name, key = random.choice([(topology.cancel, CANCEL_KEY), (topology.rest, REST_KEY)])
    connection = await aio_pika.connect(scene.system.network.publishers_url, timeout=10)
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue(name, ensure=False)
        await queue.unbind(topology.commands, key)
        try:
            await asyncio.sleep(seconds)
        finally:
            await queue.bind(topology.commands, key)
    return f"of {name}, for {seconds:.1f} s"
