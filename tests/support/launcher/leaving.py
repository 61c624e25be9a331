"""Jobs whose command ends by itself and leaves processes behind."""

import sys
from typing import Final

from tools.support.launched import Launched
from tools.support.processes import BAD_CHILD
from tools.support.system import System

LEAVES: Final = """
code=$1 said=$2
: > "$said"
shift 2
"$@" > "$said" 2>&1 &
until grep -q ready "$said"; do sleep 0.01; done
exit "$code"
"""
"""Starts what it was told, waits until that is ready, and exits with $1; $2 is for its output."""


async def launch_leaving(
    system: System, run_id: int, kind: str, exit_code: int = 0
) -> tuple[Launched, str]:
    """Start a job that leaves a bad child of this kind behind; the launcher, and the mark."""
    mark = system.new_mark()
    said = system.directory / f"said-{run_id}"
    leaves = ("sh", "-c", LEAVES, "sh", str(exit_code), str(said))
    child = (sys.executable, "-S", str(BAD_CHILD), kind, mark)
    return await system.launch(run_id, *leaves, *child), mark
