"""The registry of faults, and when each of them strikes.

A fault is one function: it breaks something, waits, brings it back, and says in words what it did.
To add one, write it in a module of `tools.chaos.fault_kinds` and decorate it with `@fault`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tools.chaos.driver.cancels import Cancels
from tools.chaos.driver.direct import DirectPublisher
from tools.chaos.driver.runs import Runs
from tools.chaos.system.chaos_system import ChaosSystem
from tools.chaos.system.network import Service

FIRST_SECONDS: Final = 2.0
BROKER_SECONDS: Final = 6.0
"""RabbitMQ forgets a queue if it is killed within a few seconds after declaring it at first."""
SKIPPED: Final = "skipped: "
"""How it begins what a fault says that did nothing."""
NOT_NOW: Final = f"{SKIPPED}another fault is using this server"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault may break."""

    system: ChaosSystem
    runs: Runs
    direct: DirectPublisher
    cancels: Cancels


Strike = Callable[[Scene, Random], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    strike: Strike
    often: int
    """How often it comes in one turn of all faults; 0 for one that must be asked for."""
    is_late: bool
    """Whether it needs queues that the broker has on disk."""
    of_cluster: bool
    """Whether it needs a broker of several nodes."""
    of_pair: bool
    """Whether it needs a Postgres with a standby."""
    takes: Service | None
    """The service that it needs for itself."""


FAULTS: Final[dict[str, Fault]] = {}


def fault(
    *,
    often: int = 1,
    is_late: bool = False,
    of_cluster: bool = False,
    of_pair: bool = False,
    takes: Service | None = None,
) -> Callable[[Strike], Strike]:
    def register(strike: Strike) -> Strike:
        name = strike.__name__
        FAULTS[name] = Fault(name, strike, often, is_late, of_cluster, of_pair, takes)
        return strike

    return register


@dataclass(frozen=True, slots=True)
class Planned:
    at: float
    """Seconds from the beginning of the load."""
    name: str
    seed: str


def plan(
    seed: int, seconds: float, names: Sequence[str], *, cluster: bool = False, pair: bool = False
) -> list[Planned]:
    """The whole schedule: turns in which each fault is there, in random order."""
    random = Random(f"{seed} plan")
    chosen = [FAULTS[name] for name in names] or [f for f in FAULTS.values() if f.often]
    chosen = [f for f in chosen if (cluster or not f.of_cluster) and (pair or not f.of_pair)]
    planned: list[Planned] = []
    waiting: list[Fault] = []
    at = FIRST_SECONDS
    while at < seconds - 1:
        if not waiting:
            # Each once before any comes again, so that a short round has them all.
            turn = len(planned) > 0
            waiting = [f for f in chosen for _ in range(max(1, f.often) if turn else 1)]
            random.shuffle(waiting)
        now = next((f for f in waiting if not f.is_late or at >= BROKER_SECONDS), None)
        if now is not None:
            waiting.remove(now)
            planned.append(Planned(at, now.name, f"{seed} fault {len(planned)}"))
        # Mostly one after the other, sometimes on top of each other, sometimes a quiet time.
        at += random.choices(
            [random.uniform(0.1, 0.5), random.uniform(1, 3), random.uniform(4, 7)], [2, 6, 2]
        )[0]
    return planned
