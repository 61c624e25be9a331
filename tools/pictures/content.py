"""A system in which something goes on: real workers, jobs, cancels and dead letters."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final
from uuid import uuid4

from shared.amqp.keys import QUEUED_KEY
from tools.errors import ToolError
from tools.support.program import Program
from tools.support.system import System

CANCELED_RUN: Final = 4711
"""Its processes had to be killed."""
REPLAYED_RUNS: Final = (9001, 9002)
"""Runs of dead letters that are on record by now."""
_HOSTS: Final = ("builder-1", "builder-2", "builder-7")
_LOST: Final = "builder-7"
_BRANCHES: Final = ("main", "feature/login", "release-2.4")
_OVER: Final = 40
"""Runs that are over, of the last minutes."""
_OF_A_BUILD: Final = ("compiler", "linker", "test-runner", "cache-daemon")
# Ignores SIGTERM, as do its children.
_DEAF: Final = "trap '' TERM; {children} echo ready; while :; do sleep 1; done"
_LONG: Final = 60.0
"""Seconds of grace for the stops in progress; the pictures are taken meanwhile."""


async def fill(system: System, say: Callable[[str], None]) -> None:
    """Bring the system into the state that the pictures show."""
    say("starting workers")
    workers = await asyncio.gather(*(_worker(system, host) for host in _HOSTS))
    say("runs that are over")
    await _runs_that_are_over(system)
    say("a run that is canceled and has to be killed")
    await _canceled_run(system)
    say("dead letters")
    await _dead_letters(system)
    say("stops in progress, and a host that falls silent")
    await _in_progress(system, dict(zip(_HOSTS, workers, strict=True)))


async def _worker(system: System, host: str) -> Program:
    return await system.worker(host, keep_dead_letters=True, host_heartbeat=1, kill_wait=5)


async def _add(system: System, run_ids: Iterable[int], *options: str) -> None:
    """Add runs, on three branches."""
    by_branch: dict[str, list[str]] = {}
    for run_id in run_ids:
        by_branch.setdefault(_BRANCHES[run_id % len(_BRANCHES)], []).append(str(run_id))
    for branch, ids in by_branch.items():
        labels = ("--label", f"branch={branch}", "--label", "repository=shop")
        code, _, errors = await system.cli("worker", "runs", "add", *ids, *labels, *options)
        if code:
            raise ToolError(errors)


async def _runs_that_are_over(system: System) -> None:
    first = CANCELED_RUN - _OVER
    await _add(system, range(first, CANCELED_RUN))
    for run_id in range(first, CANCELED_RUN, 4):
        some = range(run_id, min(run_id + 4, CANCELED_RUN))
        await asyncio.gather(*(_over(system, run_id) for run_id in some))
    # As if they had not all come within seconds.
    await system.database.execute(
        "UPDATE runs SET created_at = created_at - s, started_at = started_at - s,"
        " canceling_at = canceling_at - s, stop_deadline = stop_deadline - s,"
        " finished_at = finished_at - s"
        " FROM (SELECT run_id, ($1 - run_id) * 17 * interval '1 second' AS s FROM runs) shift"
        " WHERE runs.run_id = shift.run_id",
        CANCELED_RUN,
    )
    await system.database.execute(
        "UPDATE cancellations SET received_at = received_at - s, finished_at = finished_at - s"
        " FROM (SELECT command_id, ($1 - run_id) * 17 * interval '1 second' AS s"
        "         FROM cancellations) shift"
        " WHERE cancellations.command_id = shift.command_id",
        CANCELED_RUN,
    )


async def _over(system: System, run_id: int) -> None:
    socket = system.socket(_HOSTS[run_id % len(_HOSTS)])
    if run_id % 3:
        command = "exit 1" if run_id % 7 == 0 else "exit 0"
        launched = await system.launch(run_id, "sh", "-c", command, socket=socket)
        await launched.exit_code()
    if run_id % 3 == 0 or run_id % 8 == 0:  # the latter is a cancel of a run that is over
        by = ("alice", "scheduler", "bob")[run_id % 7 % 3]
        command_id = await system.publish(
            run_id, requested_by=by, reason=f"superseded by run {run_id + 3}"
        )
        await system.outcome_of(command_id)


async def _canceled_run(system: System) -> None:
    await _add(system, [CANCELED_RUN], "--grace", "3")
    children = " ".join(f"{_tool(system.directory, name)} 1000 &" for name in _OF_A_BUILD)
    launched = await system.launch(
        CANCELED_RUN, "sh", "-c", _DEAF.format(children=children), socket=system.socket(_HOSTS[0])
    )
    await launched.ready()
    command_id = await system.publish(
        CANCELED_RUN, requested_by="alice", reason="superseded by run 4712"
    )
    await system.outcome_of(command_id)


def _tool(directory: Path, name: str) -> Path:
    """A program of this name."""
    tool = directory / name
    if not tool.exists():
        tool.symlink_to("/bin/sleep")
    return tool


async def _dead_letters(system: System) -> None:
    broken = b'{"command_id": "0c6c9ef8", "run_id": "4711", "requested_by": "deployer"}'
    await system.publish_raw(broken, type="ci.run.cancel.v1", message_id="0c6c9ef8")
    await system.publish_raw(b"cancel 4711 please", type="ci.run.cancel.v1", message_id="1")
    await system.publish_raw(b"{}", type="ci.run.stop.v1", message_id=str(uuid4()))
    for run_id in (*REPLAYED_RUNS, 9003):
        await system.publish(run_id, requested_by="deployer", reason="branch deleted")
    other = f'{{"run_id": {CANCELED_RUN}, "grace_seconds": 120}}'.encode()
    await system.publish_raw(other, QUEUED_KEY, type="ci.run.queued.v1", message_id=str(uuid4()))
    # Unknown runs are tried for 36 s.
    await _letters_become(system, 7)
    await _add(system, REPLAYED_RUNS)


async def _letters_become(system: System, number: int) -> None:
    async with asyncio.timeout(120):
        while await system.database.fetchval("SELECT count(*) FROM dead_letters") < number:
            await asyncio.sleep(0.5)


async def _in_progress(system: System, workers: dict[str, Program]) -> None:
    where = {4720: "builder-1", 4721: "builder-2", 4722: _LOST, 4723: _LOST, 4724: "builder-1"}
    await _add(system, where, "--grace", str(_LONG))
    for run_id, host in where.items():
        launched = await system.launch(
            run_id,
            *("sh", "-c", _DEAF.format(children=""), system.new_mark()),
            socket=system.socket(host),
        )
        await launched.ready()
    for run_id, by in ((4722, "bob"), (4720, "alice"), (4721, "scheduler")):
        await system.publish(run_id, requested_by=by, reason=f"superseded by run {run_id + 9}")
        await system.status_becomes(run_id, "canceling")
    await workers[_LOST].kill()
    await system.publish(4723, requested_by="alice", reason="leaks memory")
    silent = "SELECT seen_at < now() - interval '4 seconds' FROM hosts WHERE host = $1"
    async with asyncio.timeout(60):
        while not await system.database.fetchval(silent, _LOST):
            await asyncio.sleep(0.2)
