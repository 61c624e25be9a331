"""A worker on which several runs are stopped, one after the other, among bystanders."""

import asyncio
import os
import sys
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any
from uuid import uuid4

from tools.support.launched import Launched
from tools.support.processes import BAD_CHILD, PROVED_BY, until_gone
from tools.support.records import Json
from tools.support.system import System


@dataclass(frozen=True)
class WorkerWithBystanders:
    """A worker with one kind of containment, and two bystanders that no cancel may touch."""

    system: System
    containment: str
    stranger: int
    other_run: tuple[int, ...]
    run_ids: "count[int]"

    async def launch(self, kind: str, **options: Any) -> "Running":
        run_id = next(self.run_ids)
        run = {key: options.pop(key) for key in ("grace", "stop_signal") if key in options}
        await self.system.add_run(run_id, **run)
        launched, mark = await self.system.launch_bad_child(run_id, kind, **options)
        # Whose group and session a signal must stay out of.
        assert launched.process.pid is not None
        assert os.getpgid(launched.process.pid) == os.getpgid(self.stranger)
        assert os.getsid(launched.process.pid) == os.getsid(self.stranger)
        return Running(self, run_id, launched, mark)


@dataclass(frozen=True)
class Running:
    worker: WorkerWithBystanders
    run_id: int
    launched: Launched
    mark: str

    async def cancel(self, **fields: Any) -> Json:
        """Publish a cancel and return its evidence, once that was checked against the facts."""
        return await self.canceled_by(await self.worker.system.publish(self.run_id, **fields))

    async def canceled_by(self, command_id: str) -> Json:
        system = self.worker.system
        row = await system.outcome_of(command_id)
        await until_gone(self.mark, deadline=0)
        run = await system.run(self.run_id)
        evidence: Json = row["evidence"]
        assert (row["outcome"], run["status"]) == ("canceled", "canceled")
        assert evidence["containment"] == run["containment"] == self.worker.containment
        assert evidence["proof"] == PROVED_BY[self.worker.containment]
        assert evidence["survivors"] == []
        times = [run["canceling_at"], *map(time_of, evidence["signals"])]
        times += [datetime.fromisoformat(evidence["proved_at"]), run["finished_at"]]
        assert times == sorted(times)
        return evidence


def time_of(signal_sent: Json) -> datetime:
    return datetime.fromisoformat(signal_sent["at"])


def names(evidence: Json) -> list[str]:
    return [sent["signal"] for sent in evidence["signals"]]


async def stranger_process() -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-S", str(BAD_CHILD), "sleeps", f"mark-{uuid4().hex}"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(10):
        assert await process.stdout.readline() == b"ready\n"
    return process
