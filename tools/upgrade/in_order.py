"""The upgrade in the order of docs/upgrades.md: all old workers end before the first new one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tools.support.program import Program
from tools.support.waiting import eventually
from tools.upgrade.checks import exit_code_is, has_passed, logged_errors, well_ended
from tools.upgrade.jobs import UNTIL_TOLD, Job
from tools.upgrade.report import Check
from tools.upgrade.system import UpgradedSystem
from tools.upgrade.version import NEW, Version

_GRACE: Final = 6.0
"""Seconds of the stop that is in the middle of them: the upgrade takes about as long."""
_SETTLED: Final = 60.0
"""Seconds. The retries of a command take 36."""
_SEVERAL: Final = 3


@dataclass(frozen=True, slots=True)
class Left:
    """What goes on while the installation is upgraded."""

    stopping: Job
    ends: Job
    goes_on: Job
    canceled_later: Job
    gateway: Program
    late_run: int


async def in_order(system: UpgradedSystem, old: Version) -> list[Check]:
    left = await _leave(system, old)
    await system.migrate(NEW)
    refused = await system.refused(old, system.hosts[0])
    await system.database.execute("INSERT INTO runs (run_id) VALUES ($1)", left.late_run)
    workers = [await system.worker(NEW, host) for host in system.hosts]
    replaced_at = await system.database.fetchval("SELECT clock_timestamp()")
    stuck = await system.ledger.settled(system.ledger.tags, _SETTLED)
    await left.gateway.stop()
    await system.gateway(NEW)
    tag = await system.rest(left.canceled_later.run_id)
    system.ledger.add("new gateway, a job that the old version started", "(new)", [tag])
    stuck += await system.ledger.settled([tag], _SETTLED)
    left.goes_on.tell()
    return [
        Check(
            "an old worker that starts after the migration exits with 2", exit_code_is(2, refused)
        ),
        Check("no command is stuck", stuck),
        *await well_ended(system),
        Check(
            "the interrupted stop ended at its deadline", await _overdue(system, left, replaced_at)
        ),
        Check(
            "jobs without a cancel continued and passed",
            await has_passed(system, [left.goes_on, left.ends]),
        ),
        Check("no new worker logged an error", logged_errors(*workers)),
    ]


async def _leave(system: UpgradedSystem, old: Version) -> Left:
    """Run the old version, and end its workers while there is something of each kind to do."""
    alpha, beta = system.hosts
    await system.migrate(old)
    gateway = await system.gateway(old)
    workers = [await system.worker(old, host) for host in system.hosts]
    leave = system.ledger.add

    over = await system.job(old, beta)
    tags = [await system.rest(over.run_id)]
    await system.ledger.settled(tags, _SETTLED)
    leave("settled before", "nowhere", tags)
    # As it comes from the last retry queue.
    tags = [await system.broker.cancel(system.unknown(), attempt=4)]
    await system.ledger.settled(tags, _SETTLED)
    leave("unknown run", "dead letters", tags)

    by_rest = [await system.job(old, beta) for _ in range(_SEVERAL)]
    by_message = [await system.job(old, beta) for _ in range(_SEVERAL)]
    elsewhere = [await system.job(old, alpha) for _ in range(_SEVERAL)]
    goes_on = await system.job(old, beta, UNTIL_TOLD)
    ends = await system.job(old, beta, UNTIL_TOLD)
    canceled_later = await system.job(old, alpha)
    stopping = await system.job(old, beta, "ignores_term", _GRACE)
    tags = [await system.rest(stopping.run_id)]

    await system.status_becomes(stopping.run_id, "canceling")
    await workers[1].stop()
    leave("stop in its grace period", "host queue", tags)
    queue = system.topology.old_host_queue(beta)
    leave("REST, host down", "host queue", [await system.rest(job.run_id) for job in by_rest])
    tags = [await system.broker.cancel(job.run_id) for job in by_message]
    leave("published, host down", "host queue", tags)
    tags = [await system.broker.cancel(stopping.run_id), await system.broker.cancel(over.run_id)]
    leave("repeated on a stop, on a run that is over", "host queue, nowhere", tags)
    late_run = system.unknown()
    tags = [await system.broker.cancel(late_run, attempt=2)]
    leave("run not added yet", "retry.5s", tags)
    # The repeat is another one only where no open command is on record of its own.
    number = 2 * _SEVERAL + 1

    await eventually(
        lambda: system.broker.depth(queue),
        lambda depth: (depth or 0) >= number,
        what=f"the depth of {queue}",
    )
    retry = system.topology.retry(5)
    await eventually(
        lambda: system.broker.depth(retry), lambda depth: depth == 1, what=f"the depth of {retry}"
    )
    await workers[0].stop()
    ends.tell()
    tags = [await system.rest(await system.queued()) for _ in range(_SEVERAL)]
    leave("REST, queued run", "runs.cancel", tags)
    tags = [await system.broker.cancel(await system.queued()) for _ in range(_SEVERAL)]
    leave("published, queued run", "runs.cancel", tags)
    tags = [await system.rest(job.run_id) for job in elsewhere]
    leave("REST, running", "runs.cancel", tags)
    return Left(stopping, ends, goes_on, canceled_later, gateway, late_run)


async def _overdue(system: UpgradedSystem, left: Left, replaced_at: datetime) -> list[str]:
    """Nobody can end it before its worker is replaced: on a slow machine, after its deadline."""
    run = await system.run(left.stopping.run_id)
    if run["status"] != "canceled":
        return [f"run {left.stopping.run_id} is {run['status']}"]
    early = (run["stop_deadline"] - run["finished_at"]).total_seconds()
    if early > 0:
        return [f"it ended {early:.1f} s before it"]
    late = (run["finished_at"] - max(run["stop_deadline"], replaced_at)).total_seconds()
    return [] if late < _GRACE else [f"it ended {late:.1f} s after it"]
