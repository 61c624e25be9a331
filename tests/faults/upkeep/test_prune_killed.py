"""A prune that is killed, or loses Postgres: each record is on record or in the archive."""

import asyncio
import json
import re
from collections import Counter
from pathlib import Path
from typing import Final

import asyncpg

from tests.support.postgres.commit_proxy import CommitProxy
from tests.support.records.aged import add_many, runs_left
from tools.support.program import Program
from tools.support.system import System
from tools.support.waiting import eventually

_RUNS: Final = 3000
_PRUNE: Final = ("worker", "prune", "--older-than", "90d")


async def _fill(system: System) -> None:
    connection = await asyncpg.connect(system.database_url)
    await add_many(connection, 1, _RUNS)
    await connection.close()


async def _left(system: System) -> set[int]:
    async with system.database.acquire() as connection:
        return {*await runs_left(connection)}


def _archived(path: Path) -> Counter[int]:
    """How often each run is there. All lines are whole."""
    lines = path.read_text().splitlines() if path.exists() else []
    return Counter(json.loads(line)["run"]["run_id"] for line in lines)


async def _held_with_an_archive(commits: CommitProxy, program: Program, path: Path) -> None:
    """Until a deletion whose records are archived is about to be committed."""
    while True:
        await eventually(commits.held.is_set)
        if path.exists() and path.stat().st_size:
            return
        assert program.process.returncode is None, program.log()
        commits.held.clear()
        commits.deliver()
        commits.hold()


async def test_what_was_archived_and_not_deleted_is_archived_again_by_the_next(
    system: System, commits: CommitProxy, tmp_path: Path
) -> None:
    await _fill(system)
    path = tmp_path / "archive.jsonl"
    commits.hold()
    program = await system.program(
        *_PRUNE, "--archive", str(path), DATABASE_URL=commits.proxied, CANCEL_DATABASE_TIMEOUT="30"
    )
    await _held_with_an_archive(commits, program, path)
    await program.kill()
    await commits.cut()

    left, archived = await _left(system), _archived(path)
    assert left | {*archived} == set(range(1, _RUNS + 1))
    assert left & {*archived}, "killed between two transactions"

    code, _, errors = await system.cli(*_PRUNE, "--archive", str(path))
    assert code == 0, errors
    assert await _left(system) == set()
    again = _archived(path)
    assert {*again} == set(range(1, _RUNS + 1))
    assert {run_id for run_id, times in again.items() if times == 2} == left & {*archived}


async def test_the_audit_has_what_a_killed_prune_deleted(
    system: System, commits: CommitProxy
) -> None:
    await _fill(system)
    program = await system.program(*_PRUNE, DATABASE_URL=commits.proxied)
    await eventually(lambda: _left(system), lambda left: len(left) < _RUNS)
    commits.hold()
    await program.kill()
    await commits.cut()

    row = await system.database.fetchrow("SELECT detail FROM audit")
    assert row is not None
    assert json.loads(row["detail"])["pruned"]["runs"] == _RUNS - len(await _left(system))


async def test_without_postgres_it_says_so_and_the_next_one_continues(
    system: System, commits: CommitProxy
) -> None:
    await _fill(system)
    env = {"DATABASE_URL": commits.proxied, "CANCEL_DATABASE_TIMEOUT": "30"}
    pruning = asyncio.create_task(system.cli(*_PRUNE, env=env))
    await eventually(lambda: _left(system), lambda left: len(left) < _RUNS)
    commits.hold()
    await eventually(commits.held.is_set)
    await commits.cut()

    code, output, errors = await pruning

    left = len(await _left(system))
    assert code == 1
    assert 0 < left < _RUNS
    assert re.search(rf"^runs +{_RUNS - left}$", output, re.MULTILINE)
    assert errors.startswith("cancel-worker: Postgres: ")
    assert errors.count("\n") == 1
    assert (await system.cli(*_PRUNE))[0] == 0
    assert await _left(system) == set()
