"""Cancels by POST, one after the other: to the answer, the process's end, and the row."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

from tools.bench import load
from tools.bench.commits import Commits, watched
from tools.bench.jobs import End
from tools.bench.pace import REST
from tools.bench.system import BenchSystem
from tools.errors import ToolError


@dataclass(slots=True)
class Taken:
    """Milliseconds from the POST."""

    accepted: list[float] = field(default_factory=list)
    gone: list[float] = field(default_factory=list)
    recorded: list[float] = field(default_factory=list)

    def add_accepted(self, sent_at: float, _: object) -> None:
        self.accepted.append((perf_counter() - sent_at) * 1000)


class OneByOne:
    def __init__(
        self, system: BenchSystem, token: str, caller: load.Caller, commits: Commits
    ) -> None:
        self._system = system
        self._token = token
        self._caller = caller
        self._commits = commits

    async def cancel(self, run_ids: Sequence[int]) -> Taken:
        taken = Taken()
        for run_id, request in zip(run_ids, load.requests(self._token, run_ids), strict=True):
            # None where it never started.
            pid = await self._system.database.fetchval(
                "SELECT pid FROM runs WHERE run_id = $1", run_id
            )
            end = None if pid is None else End(pid)
            await asyncio.sleep(REST)  # part of what is measured, and waits for nothing
            sent_at, answer = self._caller.send(request)
            answer.add_done_callback(partial(taken.add_accepted, sent_at))
            if end is not None:
                taken.gone.append((await end.at - sent_at) * 1000)
            taken.recorded.append((await self._commits.of(run_id) - sent_at) * 1000)
            if await answer != 202:
                raise ToolError(f"the gateway answered {answer.result()}")
        return taken


@asynccontextmanager
async def one_by_one(system: BenchSystem, token: str) -> AsyncIterator[OneByOne]:
    async with (
        watched(system.database_url) as commits,
        load.Caller(system.port).ready() as caller,
    ):
        yield OneByOne(system, token, caller, commits)
