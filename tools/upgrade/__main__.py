"""`python -m tools.upgrade`: mix programs of two versions, or try an upgrade, for real."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Final

import uvloop

from tools.errors import ToolError
from tools.services import Services, provide
from tools.upgrade.in_order import in_order
from tools.upgrade.mixed import mixed
from tools.upgrade.report import show
from tools.upgrade.side_by_side import side_by_side
from tools.upgrade.system import upgraded_system
from tools.upgrade.version import Version, checked_out, previous

WITH_HOST_QUEUES: Final = "e2b407a"
_SCENARIOS: Final = {"in-order": in_order, "side-by-side": side_by_side, "mixed": mixed}


async def run(services: Services, old: Version, scenario: str) -> bool:
    async with upgraded_system(services) as system:
        checks = await _SCENARIOS[scenario](system, old)
        return show(f"Upgrade from {old.name}, {scenario}", await system.ledger.rows(), checks)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.upgrade", description=__doc__)
    parser.add_argument(
        "--from",
        dest="revision",
        metavar="REV",
        help="default: the last revision before the newest migration; with an option below, "
        f"{WITH_HOST_QUEUES}",
    )
    how = parser.add_mutually_exclusive_group()
    how.set_defaults(scenario="mixed")
    for scenario, text in (
        ("in-order", "from a version with host queues, in the order of docs/upgrades.md"),
        ("side-by-side", "from such a version, against that order"),
    ):
        how.add_argument(
            f"--{scenario}", dest="scenario", action="store_const", const=scenario, help=text
        )
    return parser.parse_args()


def revision(options: argparse.Namespace) -> str:
    if options.revision:
        return str(options.revision)
    return previous() if options.scenario == "mixed" else WITH_HOST_QUEUES


def main() -> int:
    options = parse()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="upgrade-from-") as directory,
            provide() as services,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            old = checked_out(revision(options), Path(directory))
            holds = runner.run(run(services, old, options.scenario))
    except ToolError as error:
        print(f"upgrade: {error}", file=sys.stderr)
        return 2
    except AssertionError as error:
        print(f"upgrade: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
