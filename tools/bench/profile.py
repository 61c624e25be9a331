"""Where the time goes: gateway and worker under load, looked at by py-spy from outside.

    python -m tools.bench.profile [--seconds N] [--top N] [--only NAME] [--flame DIRECTORY]

Prints, for each, the parts of its work, the functions that were running most of the time (own),
and those that had the most below them (with callees): shares of the time in which it did anything.
With --flame, draws a flame graph of each instead.
"""

import argparse
import asyncio
import os
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import uvloop

from tools.bench import load
from tools.bench.jobs import Jobs
from tools.bench.peers.environment import environment
from tools.bench.programs import DEADLINE, Served, cpu_seconds
from tools.bench.system import BenchSystem, bench_system
from tools.errors import ToolError
from tools.services import provide

_RATE = 200  # samples per second; more would slow down what is looked at
_PROJECT = Path(__file__).parents[2]
_PLACE = re.compile(rf"\((?:{re.escape(str(_PROJECT))}/|\S*/site-packages/|\S*/lib/python[\d.]+/)")
# What a sample is counted as, by the innermost of its functions that is named here.
PARTS = {
    "log lines": ("log_response", "BoundLoggerBase._proxy_to_logger", "_Lines.flush"),
    "publish and confirm": ("CommandPublisher.publish", "JoinedFrames._write"),
    "token, limit and run": ("Gate.admit", "Batcher._work_off"),
    "validate, answer": ("CancelHandler._handle",),
    "HTTP (aiohttp)": ("RequestHandler.start", "Connection.data_received"),
    "read frames (aiormq)": ("Connection.__reader", "Channel._reader"),
    "write frames (aiormq)": ("Connection.__writer", "Consumer._acknowledge"),
    "read commands": ("CommandReader.read",),
    "decide": ("Decider.decide_many", "Decider.decide"),
    "stop and proof": ("Stops._stop",),
    "record": ("Stops._record",),
    "reports of launchers": ("LauncherApi._complete", "LauncherApi._launch"),
    "lost launchers": ("LostRunWatch._watch_launcher",),
    "take and settle": ("Consumer._take", "Consumer._settle_arrived", "Consumer._settle_alone"),
}
_BACKLOG = 15_000
_TREES = 300


class Profile:
    """Samples of one process, taken while the block runs."""

    def __init__(self, title: str, directory: Path, flame: Path | None) -> None:
        """`flame`: where a flame graph goes, instead of what is shown."""
        self._title = title
        name = title.replace(", ", "-").replace(" ", "-")
        self._path = flame / f"{name}.svg" if flame else directory / f"{name}.folded"
        self._format = "flamegraph" if flame else "raw"
        self._cpu = 0.0
        self._elapsed = 0.0
        self._others: Counter[str] = Counter()

    @asynccontextmanager
    async def of(self, program: Served) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        spy = await asyncio.create_subprocess_exec(
            str(Path(environment().python).with_name("py-spy")),
            *("record", "--pid", str(program.pid), "--rate", str(_RATE), "--format", self._format),
            *("--nonblocking", "--full-filenames", "--output", str(self._path)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await _samples(spy)
        began, before, others = loop.time(), cpu_seconds(program.pid), _cpu_by_name()
        try:
            yield
        finally:
            self._elapsed = loop.time() - began
            self._cpu = cpu_seconds(program.pid) - before
            self._others = _cpu_by_name() - others
            spy.send_signal(signal.SIGINT)
            await spy.communicate()

    def show(self, top: int, work: int) -> None:
        """`work` is how many commands went through meanwhile."""
        if self._format != "raw":
            print(f"{self._title}: {self._path}")
            return
        parts: Counter[str] = Counter()
        own: Counter[str] = Counter()
        below: Counter[str] = Counter()
        total = 0
        for line in self._path.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            frames = [shown for frame in stack.split(";") if (shown := _shown(frame)).strip()]
            if not frames:
                continue  # a glance at a process that was just changing its stack
            samples = int(count)
            total += samples
            parts[_part_of(frames)] += samples
            own[frames[-1]] += samples
            for frame in set(frames):
                below[frame] += samples
        busy = 100 * self._cpu / self._elapsed
        print(f"\n{self._title}: {work} in {self._elapsed:.1f} s, {busy:.0f} % of a core, ", end="")
        print(f"{1000 * self._cpu / max(work, 1):.3f} ms of CPU each; {total} samples")
        shares = [
            f"{name} {cpu / self._elapsed:.0f} %" for name, cpu in self._others.most_common(6)
        ]
        print(f"  all that ran meanwhile: {', '.join(shares)}")
        for heading, counted in (("parts", parts), ("own", own), ("with callees", below)):
            print(f"  {heading}")
            for name, samples in counted.most_common(None if counted is parts else top):
                print(f"  {100 * samples / max(total, 1):5.1f} %  {name}")


async def _samples(spy: asyncio.subprocess.Process) -> None:
    """Wait for py-spy's word that it does."""
    assert spy.stdout is not None
    async with asyncio.timeout(DEADLINE):
        while line := await spy.stdout.readline():
            if b"Sampling" in line:
                return
    raise ToolError("py-spy ended before it took a sample")


def _part_of(frames: list[str]) -> str:
    names = [frame.partition(" (")[0] for frame in frames]
    for name in reversed(names):
        for part, functions in PARTS.items():
            if name in functions:
                return part
    return "HTTP (aiohttp)" if any("aiohttp" in frame for frame in frames) else "event loop"


def _shown(frame: str) -> str:
    """A function and its file, below the project or the library it is of, without the line."""
    return re.sub(r":\d+\)$", ")", _PLACE.sub("(", frame))


def _cpu_by_name() -> Counter[str]:
    """Hundredths of seconds of CPU that all live processes have had so far."""
    taken: Counter[str] = Counter()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                name = Path(entry.path, "comm").read_text().partition(":")[0].strip()
                taken[name] += round(100 * cpu_seconds(int(entry.name)))
    return taken


async def gateway(system: BenchSystem, options: argparse.Namespace) -> None:
    """The highest load: 64 connections, each asking again at once."""
    await system.add_runs(1, 10_000)
    await system.analyze()
    program = await system.start_gateway()
    wanted = load.requests(await system.token(), range(1, 10_001))
    profile = Profile("gateway", system.directory, options.flame)
    async with profile.of(program):
        rate = await load.closed_loop(system.port, wanted, 64, 1, options.seconds)
    profile.show(options.top, int(rate * (options.seconds + 1)))


async def backlog(system: BenchSystem, options: argparse.Namespace) -> None:
    """A worker that was held up while its queue filled with cancels of queued runs."""
    program = await system.start_worker()
    run_ids = await system.add_runs(1, _BACKLOG)
    await system.analyze()
    program.process.send_signal(signal.SIGSTOP)
    await system.publish(run_ids)
    profile = Profile("worker, backlog", system.directory, options.flame)
    async with profile.of(program):
        program.process.send_signal(signal.SIGCONT)
        await system.until("SELECT NOT EXISTS (SELECT FROM runs WHERE status = 'queued')")
    profile.show(options.top, _BACKLOG)


async def stops(system: BenchSystem, options: argparse.Namespace) -> None:
    """Live trees canceled at once."""
    program = await system.start_worker()
    jobs = Jobs(system)
    try:
        await jobs.start(range(1, _TREES + 1))
        profile = Profile("worker, live trees", system.directory, options.flame)
        async with profile.of(program):
            await system.publish(range(1, _TREES + 1))
            await system.until("SELECT NOT EXISTS (SELECT FROM runs WHERE status <> 'canceled')")
        profile.show(options.top, _TREES)
    finally:
        await jobs.kill_launchers()


async def main(options: argparse.Namespace) -> None:
    if options.flame:
        options.flame.mkdir(parents=True, exist_ok=True)
    every = {"gateway": gateway, "backlog": backlog, "stops": stops}
    with provide() as services:
        for name, look in every.items():
            if not options.only or name in options.only:
                async with bench_system(services) as system:
                    await look(system, options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--top", type=int, default=25)
    parser.add_argument("--only", action="append", choices=("gateway", "backlog", "stops"))
    parser.add_argument("--flame", type=Path, metavar="DIR")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(parser.parse_args()))
