"""The upgrade against its order: old workers and new ones at once, while cancels keep coming.

The migration is applied below the old workers. Then the host `beta` gets a new worker, and `alpha`
keeps its old one, which takes commands for jobs of `beta` and forwards them.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from tools.support.program import Program
from tools.upgrade.checks import exit_code_is, has_passed, logged_errors, well_ended
from tools.upgrade.jobs import UNTIL_TOLD, Job
from tools.upgrade.report import Check
from tools.upgrade.system import BEAT, UpgradedSystem
from tools.upgrade.version import NEW, Version

_SETTLED: Final = 60.0
"""Seconds. The retries of a command take 36."""
_BESIDE: Final = 15.0
"""Seconds in which a new worker does what is forwarded to it: some heartbeats."""
_REMOVED: Final = 3.0
"""Seconds. A new worker that removes the queue of its host at once has done it by then."""
_ENOUGH: Final = 2
"""Commands that the old worker has forwarded."""
_TIMES: Final = 8
"""That commands are sent at most, until the old worker has got one for the other host."""


async def side_by_side(system: UpgradedSystem, old: Version) -> list[Check]:
    alpha, beta = system.hosts
    await system.migrate(old)
    gateway = await system.gateway(old)
    first, replaced = [await system.worker(old, host) for host in system.hosts]
    goes_on = [await system.job(old, host, UNTIL_TOLD) for host in system.hosts]
    number = 2 * (_TIMES + 3)
    jobs = {host: [await system.job(old, host) for _ in range(number)] for host in system.hosts}

    await system.migrate(NEW)
    await _cancel(system, "both workers old, new schema", jobs)
    await replaced.stop()
    await _cancel(system, "the worker of beta down", jobs)
    second = await system.worker(NEW, beta)
    refused = await system.refused(old, beta)
    queue = system.topology.old_host_queue(beta)
    with suppress(TimeoutError):
        async with asyncio.timeout(_REMOVED):
            while await system.broker.depth(queue) is not None:
                await asyncio.sleep(BEAT)
    before, forwarded = len(_forwarded(first)), 0
    waiting: list[str] = []
    for _ in range(_TIMES):
        tags = await _cancel(system, "alpha old, beta new", jobs)
        waiting += await system.ledger.settled(tags[beta], _BESIDE)
        forwarded = len(_forwarded(first)) - before
        if waiting or forwarded >= _ENOUGH:
            break
    unseen = await system.broker.depth(queue)
    await first.stop()
    third = await system.worker(NEW, alpha)
    await gateway.stop()
    await system.gateway(NEW)
    await _cancel(system, "both workers new", jobs)
    stuck = await system.ledger.settled(system.ledger.tags, _SETTLED)
    for job in goes_on:
        job.tell()
    return [
        Check(
            "an old worker that starts after the migration exits with 2", exit_code_is(2, refused)
        ),
        Check("the old worker forwarded to the new one's host", [] if forwarded else ["nothing"]),
        Check("forwarded commands are carried out while the old worker runs", waiting),
        Check("no message is left in the host queue", [f"{queue}: {unseen}"] if unseen else []),
        Check("no command is stuck", stuck),
        *await well_ended(system),
        Check("jobs without a cancel continued and passed", await has_passed(system, goes_on)),
        Check("no new worker logged an error", logged_errors(second, third)),
    ]


async def _cancel(
    system: UpgradedSystem, when: str, jobs: Mapping[str, list[Job]]
) -> dict[str, list[str]]:
    """Cancel two jobs of each host and two queued runs; the tags of the commands, by host."""
    tags: dict[str, list[str]] = {}
    for host, running in jobs.items():
        name = host.partition("-")[0]
        tags[host] = [
            await system.rest(running.pop().run_id),
            await system.broker.cancel(running.pop().run_id),
        ]
        system.ledger.add(when, f"jobs of {name}", tags[host])
    queued = [
        await system.rest(await system.queued()),
        await system.broker.cancel(await system.queued()),
    ]
    system.ledger.add(when, "queued runs", queued)
    return tags


def _forwarded(worker: Program) -> list[str]:
    """The commands that it sent on; the result of any other is a word."""
    settled = [event for event in worker.events if event.get("event") == "command_settled"]
    return [event["command_id"] for event in settled if not isinstance(event["result"], str)]
