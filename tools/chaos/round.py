"""One round: system, load and faults, settling; then what was found."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random

import aiohttp
import asyncpg

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from tools.chaos.checks import CHECKS, Checked
from tools.chaos.driver.cancels import Cancels
from tools.chaos.driver.direct import DirectPublisher
from tools.chaos.driver.journal import NAME, Journal
from tools.chaos.driver.load import Load
from tools.chaos.driver.publisher import Publisher
from tools.chaos.driver.registering.registrar import Registrar
from tools.chaos.driver.registering.ways import Direct, Message, Post, Put
from tools.chaos.driver.rest import Rest
from tools.chaos.driver.runs import Runs
from tools.chaos.faults import FAULTS, NOT_NOW, Fault, Planned, Scene, plan
from tools.chaos.observed import watch
from tools.chaos.observed.facts import Facts, collect
from tools.chaos.options import Options
from tools.chaos.settle import settle
from tools.chaos.system.chaos_system import ChaosSystem, chaos_system

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Findings:
    options: Options
    facts: Facts
    checked: list[Checked]

    @property
    def violations(self) -> int:
        return sum(len(checked.violations) for checked in self.checked)


async def play(options: Options, say: Say = lambda _: None) -> Findings:
    """Play the round that `options` ask for and check it. Cleans up however it ends."""
    directory = options.directory
    directory.mkdir(parents=True, exist_ok=True)
    journal = Journal(directory / NAME)
    schedule = plan(
        options.seed,
        options.seconds,
        options.kinds,
        cluster=options.cluster,
        pair=options.replication is not None,
    )
    journal.write("round", seed=options.seed, seconds=options.seconds)
    for planned in schedule:
        journal.write("planned", name=planned.name, planned_at=planned.at)
    try:
        say(f"seed {options.seed}: {len(schedule)} faults in {options.seconds:g} s; {directory}")
        async with (
            chaos_system(options, journal) as system,
            _scene(system) as scene,
        ):
            await _break_and_load(options, schedule, scene, say)
            say("settling")
            journal.write("settled", left=await settle(scene, options.settle_seconds))
            await system.end_programs(signal.SIGTERM)
            say("checking")
            facts = await collect(directory, system.servers)
            # Before the system is taken down, and the runs' cgroups with it.
            return Findings(options, facts, [check(facts) for check in CHECKS])
    finally:
        journal.close()


@asynccontextmanager
async def _scene(system: ChaosSystem) -> AsyncIterator[Scene]:
    database = await asyncpg.create_pool(
        system.servers.postgres.url, min_size=1, max_size=10, timeout=5, command_timeout=10
    )
    sockets = {host: system.socket(host) for host in system.hosts}
    settings = DatabaseSettings.model_validate({"DATABASE_URL": system.servers.postgres.url})
    publisher, journal = Publisher(system.network.publishers_url), system.journal
    async with connected(settings) as registry, aiohttp.ClientSession() as http:
        rest = Rest(http, system.gateway_urls, system.token)
        registrar = Registrar(
            Direct(registry), Put(rest), Post(rest), Message(publisher), database, journal
        )
        runs = Runs(database, registrar, system.directory, sockets, system.environment, journal)
        try:
            yield Scene(system, runs, DirectPublisher(publisher, journal), Cancels(rest, journal))
        finally:
            await runs.end()
            await publisher.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await database.close()


async def _break_and_load(
    options: Options, schedule: list[Planned], scene: Scene, say: Say
) -> None:
    async with asyncio.TaskGroup() as tasks:
        load = Load(options, scene.system.hosts, scene.runs, scene.cancels, scene.direct)
        watching = tasks.create_task(watch.watch(scene))
        async with asyncio.TaskGroup() as both:
            both.create_task(_load(load, scene))
            for planned in schedule:
                both.create_task(_strike(planned, scene, say))
        watching.cancel()


async def _load(load: Load, scene: Scene) -> None:
    await load.run()
    scene.system.servers.end_turns()


async def _strike(planned: Planned, scene: Scene, say: Say) -> None:
    await asyncio.sleep(planned.at)
    fault = FAULTS[planned.name]
    if fault.takes is None:
        what = await _struck(fault, planned, scene)
    else:
        async with scene.system.servers.turns[fault.takes].take(fault.name) as is_ours:
            what = await _struck(fault, planned, scene) if is_ours else NOT_NOW
    scene.system.journal.write("fault_ended", name=planned.name, planned_at=planned.at, what=what)
    say(f"{planned.at:6.1f} s  {planned.name}: {what}")


async def _struck(fault: Fault, planned: Planned, scene: Scene) -> str:
    scene.system.journal.write("fault_begins", name=planned.name, planned_at=planned.at)
    return await fault.strike(scene, Random(planned.seed))
