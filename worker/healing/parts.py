"""Puts the healing of a worker together."""

import asyncio
from dataclasses import dataclass

from shared.postgres.database import Database
from worker.dead_letters.keeping.keeper import Keeper
from worker.decisions.decider import Decider
from worker.healing.commands import Commands
from worker.healing.containers import ParentOf
from worker.healing.healing import Healing
from worker.healing.launched import Launched
from worker.healing.letters import Letters
from worker.healing.registrations import Registrations
from worker.healing.superseded import Superseded
from worker.intake.settler import Settler
from worker.launches.lost_runs import LostRunWatch
from worker.memory.memory import Memory
from worker.metrics import WorkerMetrics
from worker.open_commands.open_commands import OpenCommands
from worker.outbox.relay import Relay
from worker.registering.settler import RegistrationSettler
from worker.settings import WorkerSettings
from worker.stop.run_stopper import RunStopper
from worker.stop.stops import Stops


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a worker that record, and so record again."""

    memory: Memory
    registrations: RegistrationSettler
    commands: Settler
    decider: Decider
    stops: Stops
    stopper: RunStopper
    lost_runs: LostRunWatch
    open_commands: OpenCommands
    letters: Keeper
    relay: Relay
    parent_of: ParentOf


def healing_of(
    database: Database,
    parts: Parts,
    settings: WorkerSettings,
    metrics: WorkerMetrics,
    tasks: asyncio.TaskGroup,
) -> Healing:
    memory = parts.memory
    superseded = Superseded(
        database,
        memory,
        parts.lost_runs,
        parts.stopper,
        parts.relay,
        tasks,
        settings.grace_seconds,
        settings.kill_wait,
    )

    async def go_on() -> None:
        await parts.lost_runs.resume()
        parts.open_commands.wake()
        parts.relay.wake()

    return Healing(
        database,
        memory,
        Registrations(database, memory, parts.registrations),
        Launched(database, memory, parts.lost_runs, superseded, parts.parent_of),
        Commands(database, memory, parts.commands, parts.decider, parts.stops),
        Letters(database, parts.letters),
        metrics,
        parts.relay,
        go_on,
    )
