"""The command line: a round, its report, and an exit code that says whether all promises held."""

import argparse
import asyncio
import json
import logging
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from random import SystemRandom

from tools.chaos import fault_kinds  # noqa: F401 - registers them
from tools.chaos.driver.journal import NAME
from tools.chaos.faults import FAULTS
from tools.chaos.options import SETTLE_SECONDS, Options
from tools.chaos.report import report
from tools.chaos.round import Findings, play
from tools.errors import ToolError
from tools.services import Replication

BROKEN = 1
UNAVAILABLE = 2
INTERRUPTED = 128 + signal.SIGINT


def main(arguments: list[str]) -> int:
    """0 all promises held, 1 one was broken, 2 a server or program failed, 130 interrupted."""
    given = _parse(arguments)
    for library in ("aio_pika", "aiormq", "asyncpg"):
        logging.getLogger(library).setLevel(logging.CRITICAL)  # outages are what we are here for
    directory = given.directory or Path(tempfile.mkdtemp(prefix="run-cancel-chaos-"))
    code = BROKEN
    try:
        code = _play(_options(given, directory), given.summary)
    except* ToolError as errors:
        code = UNAVAILABLE
        for error in _leaves(errors):
            print(f"chaos: {error}", file=sys.stderr)
    except* (KeyboardInterrupt, asyncio.CancelledError):
        code = INTERRUPTED
    finally:
        if code != BROKEN and given.directory is None:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            print(f"log: {directory / NAME}")
    return code


def _play(options: Options, summary: Path | None) -> int:
    findings = asyncio.run(_until_signaled(options))
    print(report(findings))
    if summary is not None:
        broken = {c.promise: len(c.violations) for c in findings.checked}
        summary.write_text(json.dumps(broken))
    return BROKEN if findings.violations else 0


def _options(given: argparse.Namespace, directory: Path) -> Options:
    return Options(
        directory=directory,
        seconds=given.seconds,
        seed=given.seed if given.seed is not None else SystemRandom().randrange(10**6),
        rate=given.rate,
        kinds=tuple(given.only),
        unknown_runs=given.unknown_runs,
        settle_seconds=given.settle_seconds,
        cluster=given.cluster,
        replication=Replication(given.standby) if given.standby else None,
        one_address=given.one_address,
    )


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


async def _until_signaled(options: Options) -> Findings:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await play(options, lambda line: print(line, flush=True))


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="duration of load and faults")
    parser.add_argument("--seed", type=int, help="seed of load and schedule (default: random)")
    parser.add_argument("--rate", type=float, default=8.0, help="scenarios per second")
    parser.add_argument(
        "--only",
        nargs="*",
        default=[],
        choices=sorted(FAULTS),
        metavar="FAULT",
        help=f"inject only these faults, of: {', '.join(sorted(FAULTS))}",
    )
    parser.add_argument(
        "--unknown-runs", type=int, help="number of commands for runs that do not exist"
    )
    parser.add_argument("--settle-seconds", type=float, default=SETTLE_SECONDS)
    parser.add_argument("--cluster", action="store_true", help="use a broker of three nodes")
    parser.add_argument(
        "--standby",
        nargs="?",
        const=Replication.SYNCHRONOUS.value,
        choices=[each.value for each in Replication],
        help="use a Postgres with a standby; with async, a failover undoes commits, which the "
        "checker must notice (default without a value: sync)",
    )
    parser.add_argument(
        "--one-address",
        action="store_true",
        help="with --standby, DATABASE_URL has one address, which follows the primary late; with "
        "--cluster, AMQP_URL has that of a balancer (default: both have all hosts)",
    )
    parser.add_argument("--directory", type=Path, help="directory for all logs")
    parser.add_argument("--summary", type=Path, help="file for the violations per promise, as JSON")
    return parser.parse_args(arguments)
