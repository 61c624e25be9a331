"""What `cancel-exec` adds to a command's start, and what it weighs while it waits.

    python -m tools.bench.launcher [--rounds N]

Bare and launched starts take turns, so that both meet the same machine.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from statistics import median
from time import clock_gettime_ns, monotonic

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from shared.postgres.migrate import migrate
from tools.services import Services, provide
from tools.services.databases import new_database
from tools.support.launched import CANCEL_EXEC
from tools.support.system import System
from tools.support.waiting import eventually

MAX_ADDED_MS = 100.0
MAX_PSS_MB = 15.0
TOGETHER = 20

CLOCK_MONOTONIC = 1
# Whatever a command does first: here, to say when. The shell's own start is in both figures.
TELLS_TIME = (sys.executable, "-S", "-E", "-c", "import time; print(time.clock_gettime_ns(1))")


async def milliseconds_to_start(*command: str | Path) -> float:
    """From before the fork until the command's first instruction of its own."""
    began = clock_gettime_ns(CLOCK_MONOTONIC)
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0, command
    return (int(out) - began) / 1e6


async def milliseconds_to_end(*command: str | Path) -> float:
    began = monotonic()
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, command
    return (monotonic() - began) * 1000


def pss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


class Bench:
    def __init__(self, system: System, rounds: int) -> None:
        self._system = system
        self._rounds = rounds
        self._ids = count(1)

    async def launched(self, *command: str | Path) -> tuple[str | Path, ...]:
        run_id = next(self._ids)
        await self._system.add_run(run_id)
        socket = self._system.socket()
        return (CANCEL_EXEC, "--run-id", str(run_id), "--socket", socket, "--", *command)

    async def compare(
        self, measure: Callable[..., Awaitable[float]], *command: str | Path
    ) -> tuple[float, float]:
        """Medians, bare and launched."""
        bare, launched = [], []
        for _ in range(self._rounds):
            bare.append(await measure(*command))
            launched.append(await measure(*await self.launched(*command)))
        return median(bare), median(launched)

    async def weigh(self, number: int) -> float:
        """The median PSS of so many launchers at once, each waiting for its command."""
        launchers = [
            await asyncio.create_subprocess_exec(
                *await self.launched("sh", "-c", "echo ready; read -r _"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for _ in range(number)
        ]
        for launcher in launchers:
            assert launcher.stdout is not None
            await launcher.stdout.readline()
        # Waiting, not on the way there.
        pids = [launcher.pid for launcher in launchers]
        await eventually(lambda: all(is_asleep(pid) for pid in pids))
        weights = [pss_mb(pid) for pid in pids]
        await asyncio.gather(*(launcher.communicate(b"\n") for launcher in launchers))
        return median(weights)


def is_asleep(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


async def measure(services: Services, rounds: int) -> bool:
    """Measure, print, and say whether both bars are kept."""
    with tempfile.TemporaryDirectory() as directory:
        async with new_database(services) as url:
            settings = DatabaseSettings.model_validate({"DATABASE_URL": url})
            async with connected(settings) as database:
                await migrate(database)
            async with System(
                url, services.amqp_url, Path(directory), forks=False
            ).running() as system:
                await system.worker()
                bench = Bench(system, rounds)
                start = await bench.compare(milliseconds_to_start, *TELLS_TIME)
                whole = await bench.compare(milliseconds_to_end, "true")
                alone, together = await bench.weigh(1), await bench.weigh(TOGETHER)
    added = start[1] - start[0]
    print(f"medians of {rounds} rounds, bare and launched in turn; {os.cpu_count()} cpus")
    print(f"{'':34}{'bare':>10}{'launched':>10}{'added':>10}{'at most':>10}")
    for name, (bare, launched), most in (
        ("until the command's first step, ms", start, f"{MAX_ADDED_MS:.0f}"),
        ("`true` from start to end, ms", whole, "-"),
    ):
        print(f"{name:34}{bare:10.1f}{launched:10.1f}{launched - bare:10.1f}{most:>10}")
    for name, weight in (
        ("a waiting launcher, MB PSS", alone),
        (f"each of {TOGETHER} at once, MB PSS", together),
    ):
        print(f"{name:34}{'':10}{weight:10.1f}{'':10}{MAX_PSS_MB:10.0f}")
    return added <= MAX_ADDED_MS and max(alone, together) <= MAX_PSS_MB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    rounds = parser.parse_args().rounds
    with provide() as services:
        kept = asyncio.run(measure(services, rounds))
    if not kept:
        sys.exit("the launcher misses a bar")


if __name__ == "__main__":
    main()
