"""What must hold at the end of each upgrade."""

import asyncio
from collections.abc import Iterable
from time import monotonic
from typing import Final

from tools.support.program import DEADLINE, Program
from tools.upgrade.jobs import Job
from tools.upgrade.report import Check
from tools.upgrade.system import BEAT, UpgradedSystem

_REMOVED: Final = 10.0
"""Seconds."""


async def well_ended(system: UpgradedSystem) -> list[Check]:
    return [
        Check("each command has one outcome or one dead letter", await _ends(system)),
        Check("no run was canceled while its processes lived", await _false(system)),
        Check("no host queue is left", await _host_queues(system)),
        Check("no message is left in a queue of commands", await _messages(system)),
        Check("no run is in the middle of a stop", await _stopping(system)),
    ]


async def _ends(system: UpgradedSystem) -> list[str]:
    return await system.ledger.not_exactly_one_end()


async def _host_queues(system: UpgradedSystem) -> list[str]:
    """Those that are left, once each worker has had time to see that the others are new."""
    until = monotonic() + _REMOVED
    while (left := await system.broker.host_queues(system.hosts)) and monotonic() < until:
        await asyncio.sleep(BEAT)
    return [f"{name}: {depth}" for name, depth in left.items()]


async def _false(system: UpgradedSystem) -> list[str]:
    canceled = await system.database.fetch("SELECT run_id FROM runs WHERE status = 'canceled'")
    return [*system.false, *system.living(row["run_id"] for row in canceled)]


async def _messages(system: UpgradedSystem) -> list[str]:
    depths = {name: await system.broker.depth(name) for name in system.topology.queues()}
    return [f"{name}: {depth}" for name, depth in depths.items() if depth]


async def _stopping(system: UpgradedSystem) -> list[str]:
    rows = await system.database.fetch("SELECT run_id FROM runs WHERE status = 'canceling'")
    return [f"run {row['run_id']}" for row in rows]


async def has_passed(system: UpgradedSystem, jobs: Iterable[Job]) -> list[str]:
    """Wait for these jobs, which were told to end; those that did not end well."""
    problems = []
    for job in jobs:
        async with asyncio.timeout(DEADLINE):
            code = await job.launcher.wait()
        if (status := await system.status(job.run_id)) != "pass" or code:
            problems.append(f"run {job.run_id} is {status}, its launcher's exit code is {code}")
    return problems


def exit_code_is(wanted: int, code: int) -> list[str]:
    return [] if code == wanted else [f"exit code {code}"]


def logged_errors(*workers: Program) -> list[str]:
    events = [event for worker in workers for event in worker.events]
    return [str(event) for event in events if event.get("level") in ("error", "critical")]
