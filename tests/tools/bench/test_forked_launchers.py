"""Launchers that are forks of one process."""

import asyncio
import json
import sys
from pathlib import Path
from uuid import uuid4

from tools.support.processes import alive, until_gone
from tools.support.waiting import eventually

PROJECT = Path(__file__).parents[3]
CODE = "from tools.bench.many_launchers import main; main()"


async def test_launchers_that_wait_die_with_their_process(tmp_path: Path) -> None:
    mark = uuid4().hex  # in the command line that all of them share
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CODE, mark), stdin=asyncio.subprocess.PIPE, cwd=PROJECT
    )
    assert process.stdin is not None
    for run_id in ("1", "2"):
        where = ["--run-id", run_id, "--socket", str(tmp_path / "no worker")]
        process.stdin.write(json.dumps([*where, "--", "true"]).encode() + b"\n")
    try:
        # Each launcher has a child that waits for its permit.
        await eventually(lambda: len(alive(mark)) == 5)
    finally:
        process.kill()
        await process.wait()

    await until_gone(mark)
