"""When what a run has started ended, by the kernel."""

from datetime import UTC, datetime, timedelta
from typing import Final

from tests.support.docker import marked
from tests.support.docker.canceled import ContainerRun
from tools.support.records import Json
from tools.support.system import System
from tools.support.waiting import eventually

SLACK: Final = timedelta(seconds=1)
"""How late a kill may be, on a machine that does other work too."""


async def dies_at_its_deadline(system: System, run: ContainerRun) -> Json:
    """Wait until nothing of a run with deaf containers is alive; its row before that.

    The containers must end neither before its deadline nor, as all else, much later.
    """
    row = await system.status_becomes(run.run_id, "canceling")
    # The job may wait for them, and so hide that they end early.
    await eventually(run.alive_in_containers, lambda pids: not pids, what="what is in containers")
    assert datetime.now(UTC) >= row["stop_deadline"], "killed before the deadline"
    await marked.until_gone(run.mark, run.containers)
    late = datetime.now(UTC) - row["stop_deadline"]
    assert late < SLACK, late
    return row


async def is_canceled(system: System, run: ContainerRun, command_id: str) -> Json:
    """Wait until the run is recorded as canceled: then nothing of it is alive; its evidence."""
    outcome = await system.outcome_of(command_id)
    assert run.alive() == []
    assert (outcome["outcome"], (await system.run(run.run_id))["status"]) == ("canceled",) * 2
    evidence: Json = outcome["evidence"]
    return evidence
