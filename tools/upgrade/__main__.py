"""`python -m tools.upgrade --from REV`: try the upgrade from a revision for real."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import uvloop

from tools.errors import ToolError
from tools.services import Services, provide
from tools.upgrade.in_order import in_order
from tools.upgrade.report import show
from tools.upgrade.side_by_side import side_by_side
from tools.upgrade.system import upgraded_system
from tools.upgrade.version import Version, checked_out


async def run(services: Services, old: Version, *, beside: bool) -> bool:
    async with upgraded_system(services) as system:
        checks = await (side_by_side if beside else in_order)(system, old)
        how = "side by side with" if beside else "from"
        return show(f"Upgrade {how} {old.name}", await system.ledger.rows(), checks)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.upgrade", description=__doc__)
    parser.add_argument("--from", dest="revision", required=True, metavar="REV")
    parser.add_argument(
        "--side-by-side",
        action="store_true",
        help="old and new workers at once, against the order of docs/upgrades.md",
    )
    return parser.parse_args()


def main() -> int:
    options = parse()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="upgrade-from-") as directory,
            provide() as services,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            old = checked_out(options.revision, Path(directory))
            holds = runner.run(run(services, old, beside=options.side_by_side))
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
