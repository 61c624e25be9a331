"""Versions mixed: the last one before the newest migration, N-1, and this one, N.

The migration is applied while N-1 runs. Then the first gateway of N comes, and each worker is
replaced; the gateway of N-1 is the last to go. So gateways, workers and launchers of each version
meet those of the other. All the time, runs are canceled.
"""

import asyncio
from typing import Final

from tools.support.program import Program
from tools.upgrade import trail
from tools.upgrade.checks import has_passed, logged_errors, well_ended
from tools.upgrade.jobs import UNTIL_TOLD
from tools.upgrade.report import Check
from tools.upgrade.system import UpgradedSystem
from tools.upgrade.traffic import Traffic
from tools.upgrade.version import NEW, Version

_GRACE: Final = 2.0
"""Seconds. About as long as it takes to replace a worker."""


async def mixed(system: UpgradedSystem, old: Version) -> list[Check]:
    alpha, beta = system.hosts
    traffic = Traffic(system, (old, NEW))
    await system.migrate(old)
    first = await system.gateway(old)
    traffic.gateways.append(first)
    await system.allow_registering()
    workers = {host: await system.worker(old, host) for host in system.hosts}
    programs = [first, *workers.values()]
    await trail.follow(system)
    go_on = await asyncio.gather(
        *(system.job(v, host, UNTIL_TOLD) for host in system.hosts for v in (old, NEW))
    )

    async def replace(host: str) -> Program:
        await traffic.stopping(host, old, _GRACE)
        await workers[host].stop()
        return await system.worker(NEW, host)

    async with traffic.load():
        stuck = await traffic.stage("all programs N-1")
        await system.migrate(NEW)
        stuck += await traffic.stage("all programs N-1, schema N")
        programs.append(await system.gateway(NEW))
        traffic.gateways.append(programs[-1])
        stuck += await traffic.stage("workers N-1, gateways of both")
        programs.append(await replace(beta))
        stuck += await traffic.stage("workers and gateways of both")
        programs.append(await replace(alpha))
        stuck += await traffic.stage("workers N, gateways of both")
        traffic.gateways.remove(first)
    await first.stop()
    stuck += await traffic.finish()
    for job in go_on:
        job.tell()
    return [
        Check("no command is stuck", stuck),
        *await well_ended(system),
        Check("what was canceled is canceled", await _not_canceled(system, traffic)),
        Check("jobs without a cancel continued and passed", await has_passed(system, go_on)),
        Check("letters that either version kept are replayed", await _replayed(system, traffic)),
        *await trail.checked(system),
        Check("no program logged an error", logged_errors(*programs)),
    ]


async def _not_canceled(system: UpgradedSystem, traffic: Traffic) -> list[str]:
    other = "SELECT run_id, status FROM runs WHERE run_id = ANY ($1) AND status <> 'canceled'"
    rows = await system.database.fetch(other, traffic.canceled)
    return [f"run {row['run_id']} is {row['status']}" for row in rows]


async def _replayed(system: UpgradedSystem, traffic: Traffic) -> list[str]:
    """Add the runs that were not there, and replay the letters of their commands."""
    await system.database.execute(
        "INSERT INTO runs (run_id) SELECT run_id FROM dead_letters WHERE reason = 'unknown_run'"
    )
    replay = ("worker", "dead-letters", "replay", "--all", "--reason", "unknown_run")
    await system.done(NEW, *replay, "--wait", "20")
    fates = await system.ledger.fates(traffic.early)
    return [f"{tag}: {found}" for tag, found in fates.items() if "canceled" not in found]
