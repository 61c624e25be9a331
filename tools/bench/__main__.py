"""`python -m tools.bench`: measure, show, write down, and compare with what was recorded."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from time import monotonic
from typing import Final

import uvloop

from tools.bench import against, guard
from tools.bench.measures.accepts import Accepts, Times
from tools.bench.measures.backlog import Backlog
from tools.bench.measures.commands import Commands
from tools.bench.measures.containers import Containers
from tools.bench.measures.events import Events
from tools.bench.measures.growth import TableGrowth
from tools.bench.measures.hosts import Hosts
from tools.bench.measures.idle import Idle
from tools.bench.measures.letters import Letters
from tools.bench.measures.many_stops import ManyStops
from tools.bench.measures.pgbouncer import Pgbouncers
from tools.bench.measures.registering import Registering
from tools.bench.measures.scale.measure import Scales
from tools.bench.measures.stops import Stops
from tools.bench.measures.streams import Streams
from tools.bench.measures.upkeep import Upkeep
from tools.bench.output import document, plots, report
from tools.bench.output.results import Results
from tools.bench.peers.environment import REQUIREMENTS, Environment, environment
from tools.bench.system import BenchSystem, bench_system
from tools.errors import ToolError
from tools.services import Services, provide

DOCS = Path(__file__).parents[2] / "docs"
RECORDED = DOCS / "bench.json"
PERFORMANCE = DOCS / "performance.md"
ON_REQUEST: Final = {"scale"}
"""Measured only if they are named: each takes longer than all others together."""

Measure = Callable[[BenchSystem, Results, int], Awaitable[None]]


def measures(
    peers: Environment | None, *, quick: bool, filled: str | None = None
) -> dict[str, Measure]:
    """What is measured, by name, in this order. Each has a system of its own.

    `filled`: the URL of a filled database.
    """
    times = Times(throughput=2, latency=0) if quick else Times(throughput=4, latency=4)
    runs, each = (2_000, 10) if quick else (10_000, 20)
    watched = 0.0 if quick else 20.0
    some: dict[str, Measure] = {
        "accepts": lambda system, results, rounds: Accepts(system, times).measure(results, rounds),
        "stops": lambda system, results, rounds: Stops(system, peers, each).measure(
            results, rounds
        ),
        "backlog": lambda system, results, rounds: Backlog(system, runs, peers).measure(
            results, rounds
        ),
        "idle": lambda system, results, rounds: Idle(system, watched).measure(results, rounds),
    }
    if quick:
        return some
    return {
        **some,
        "growth": lambda system, results, rounds: TableGrowth(system).measure(results, rounds),
        "many_stops": lambda system, results, rounds: ManyStops(system).measure(results, rounds),
        "hosts": lambda system, results, rounds: Hosts(system).measure(results, rounds),
        "letters": lambda system, results, rounds: Letters(system).measure(results, rounds),
        "events": lambda system, results, rounds: Events(system, runs, 3 * each).measure(
            results, rounds
        ),
        "registering": lambda system, results, rounds: Registering(system, runs).measure(
            results, rounds
        ),
        "streams": lambda system, results, rounds: Streams(system).measure(results, rounds),
        "commands": lambda system, results, rounds: Commands(system).measure(results, rounds),
        "containers": lambda system, results, rounds: Containers(system).measure(results, rounds),
        "pgbouncer": lambda system, results, rounds: Pgbouncers(system, runs, 3 * each).measure(
            results, rounds
        ),
        "upkeep": lambda system, results, rounds: Upkeep(system).measure(results, rounds),
        "scale": lambda system, results, rounds: Scales(system, filled_url=filled).measure(
            results, rounds
        ),
    }


def by_default(names: Iterable[str]) -> list[str]:
    return [name for name in names if name not in ON_REQUEST]


async def run(services: Services, options: argparse.Namespace) -> Results:
    peers = None if options.quick or options.no_peers else environment()
    results = Results(report.machine(services.origin), options.quick)
    known = measures(peers, quick=options.quick, filled=options.filled)
    for name, measure in known.items():
        if name not in (options.only or by_default(known)):
            continue
        began = monotonic()
        async with bench_system(services) as system:
            await measure(system, results, options.rounds)
        say(f"{name}: {monotonic() - began:.0f} s")
    return results


def say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="measure what fits in a minute or two; fail on a regression",
    )
    parser.add_argument(
        "--tolerance",
        metavar="PERCENT",
        type=float,
        help="with --quick: by how much a ratio may be worse than recorded "
        f"(default {guard.TOLERANCE:g})",
    )
    parser.add_argument(
        "--against", metavar="REV", help="compare with this git revision, without peers"
    )
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (default 3)")
    parser.add_argument("--only", action="append", help="measure only this; repeatable")
    parser.add_argument("--no-peers", action="store_true", help="measure no other tools")
    parser.add_argument(
        "--filled",
        metavar="URL",
        help="measure scale with this database, which tools.bench.filled has filled; "
        "without it, one is filled first",
    )
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--plots", type=Path, default=Path("build"), help="directory for SVG files")
    parser.add_argument(
        "--record",
        action="store_true",
        help="record the results in docs/bench.json; if nothing is left out, redraw "
        "docs/performance.md and its plots, too",
    )
    options = parser.parse_args()
    if options.against and (options.quick or options.record):
        parser.error("--against cannot be combined with --quick or --record")
    if options.tolerance is not None and not options.quick:
        parser.error("--tolerance is for --quick")
    return options


def main() -> int:
    options = parse()
    redraws = options.record and not (options.quick or options.only or options.no_peers)
    try:
        if redraws:
            document.require_place(PERFORMANCE)
        if options.against:
            with provide() as services:
                names = options.only or by_default(measures(None, quick=False))
                against.measure(services, options.against, names, options.rounds)
            return 0
        with provide() as services, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            results = runner.run(run(services, options))
    except ToolError as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        return 130
    report.show(results)
    results.write(options.out)
    if not options.quick:
        plots.write(results, options.plots)
    if options.record:
        guard.record(results, RECORDED)
        if redraws:
            document.redraw(results, options.rounds, REQUIREMENTS, PERFORMANCE)
            plots.write(results, DOCS)
        say(f"recorded in {RECORDED}")
        return 0
    if not options.quick:
        return 0
    tolerance = guard.TOLERANCE if options.tolerance is None else options.tolerance
    return guard.compare(results, RECORDED, say, tolerance)


if __name__ == "__main__":
    sys.exit(main())
