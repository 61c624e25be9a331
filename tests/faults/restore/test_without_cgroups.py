"""Postgres is restored to a time before the claims of live jobs that have no cgroup.

The kernel keeps nothing for them, so their notes are files beside the worker's socket.
"""

import json
from functools import partial
from pathlib import Path

from tools.support.launched import Launched
from tools.support.processes import alive, until_gone
from tools.support.program import Program
from tools.support.system import System
from tools.support.waiting import eventually

QUEUED, UNKNOWN, ENDED = 1, 2, 3


def _notes(system: System) -> list[Path]:
    directory = Path(f"{system.socket()}.launches")
    return list(directory.iterdir()) if directory.exists() else []


async def _worker(system: System) -> Program:
    return await system.worker(containment="session")


def _has_ended(launcher: Launched) -> bool:
    return launcher.process.returncode is not None


async def _launched_since(system: System) -> dict[int, tuple[Launched, str]]:
    """Have jobs, and a database that knows nothing of their claims; no worker is up."""
    worker = await _worker(system)
    launched = {run: await system.launch_bad_child(run, "obeys") for run in (QUEUED, UNKNOWN)}
    await worker.kill()
    await system.database.execute("DELETE FROM runs")
    await system.add_run(QUEUED)
    return launched


async def test_what_is_alive_is_on_record_again(system: System) -> None:
    launched = await _launched_since(system)

    await _worker(system)

    for run, (launcher, mark) in launched.items():
        assert (await system.run(run))["status"] == "running"
        assert alive(mark)
        outcome = await system.outcome_of(await system.publish(run))
        assert (outcome["outcome"], outcome["evidence"]["proof"]) == ("canceled", "scans_empty")
        await until_gone(mark, deadline=0)
        assert await launcher.exit_code() == 143


async def test_what_ended_meanwhile_is_not_taken_for_alive(system: System) -> None:
    launched = await _launched_since(system)
    for launcher, _ in launched.values():
        launcher.kill()
    for launcher, mark in launched.values():
        await eventually(partial(_has_ended, launcher))
        assert alive(mark)

    await _worker(system)

    assert (await system.run(QUEUED))["status"] == "queued"
    assert await system.run_or_none(UNKNOWN) is None
    assert not _notes(system)


async def test_a_note_that_others_could_have_written_is_not_read(system: System) -> None:
    launched = await _launched_since(system)
    Path(f"{system.socket()}.launches").chmod(0o777)

    await _worker(system)

    assert (await system.run(QUEUED))["status"] == "queued"
    assert alive(launched[QUEUED][1])


async def test_a_note_that_is_not_complete_is_dropped(system: System) -> None:
    launched = await _launched_since(system)
    for path in _notes(system):
        if json.loads(path.read_bytes())["run_id"] == UNKNOWN:
            path.write_bytes(path.read_bytes()[:100])

    await _worker(system)

    assert (await system.run(QUEUED))["status"] == "running"
    assert await system.run_or_none(UNKNOWN) is None
    assert len(_notes(system)) == 1
    assert alive(launched[UNKNOWN][1])


async def test_a_run_that_is_over_has_no_note(system: System) -> None:
    await _worker(system)
    await system.add_run(ENDED)
    launched = await system.launch(ENDED, "sh", "-c", "echo ready; sleep 0.1")
    await launched.ready()
    await eventually(lambda: _notes(system))

    assert await launched.exit_code() == 0

    assert not _notes(system)
