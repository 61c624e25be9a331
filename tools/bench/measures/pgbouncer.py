"""What a pgbouncer between the programs and Postgres costs, by its pool mode."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Final

from yarl import URL

from tools.bench.measures.backlog import Backlog
from tools.bench.one_by_one import one_by_one
from tools.bench.output.results import Bar, Results, compared
from tools.bench.system import BenchSystem
from tools.services import Sandbox
from tools.services.native.binaries import find_program
from tools.services.native.pgbouncer import Pgbouncer

_DIRECT: Final = "direct"
_MODES: Final = ("session", "transaction")
_POOL: Final = 20
"""Sessions of a pool; two programs have ten connections each."""


class Pgbouncers:
    """`each` is how many single cancels a round has. Without pgbouncer, nothing is measured."""

    def __init__(self, system: BenchSystem, runs: int, each: int) -> None:
        self._system = system
        self._runs = runs
        self._each = each

    async def measure(self, results: Results, rounds: int) -> None:
        program = find_program("pgbouncer")
        if program is None:
            print("bench: pgbouncer: skipped, it is not installed", file=sys.stderr)
            return
        single: dict[str, list[float]] = {way: [] for way in (_DIRECT, *_MODES)}
        backlog: dict[str, list[float]] = {way: [] for way in (_DIRECT, *_MODES)}
        token = await self._system.token()
        full = Backlog(self._system, self._runs, None)
        with Sandbox() as sandbox:
            pgbouncer = Pgbouncer(sandbox, program, self._system.database_url)
            for _ in range(rounds):
                for way in single:
                    with self._through(pgbouncer, way) as env:
                        single[way].append(await self._singles(token, env))
                        backlog[way].append(await full.ours(self._runs, env))
        for mode in _MODES:
            row = compared(
                f"pgbouncer_{mode}_stop",
                f"POST sent → row canceled, queued run, pgbouncer in {mode} mode, p50",
                "ms",
                Bar(),
                single[mode],
                "without pgbouncer",
                single[_DIRECT],
            )
            results.rows.append(row)
            row = compared(
                f"pgbouncer_{mode}_backlog",
                f"backlog of {self._runs:,} queued runs canceled, pgbouncer in {mode} mode",
                "/s",
                Bar(),
                backlog[mode],
                "without pgbouncer",
                backlog[_DIRECT],
            )
            results.rows.append(row)

    @contextmanager
    def _through(self, pgbouncer: Pgbouncer, way: str) -> Iterator[Mapping[str, str]]:
        """The environment of programs that are to connect this way."""
        if way == _DIRECT:
            yield {}
            return
        pgbouncer.start(pool_mode=way, default_pool_size=_POOL)
        try:
            yield {"DATABASE_URL": pgbouncer.url(URL(self._system.database_url).name)}
        finally:
            pgbouncer.stop()

    async def _singles(self, token: str, env: Mapping[str, str]) -> float:
        """Milliseconds of one cancel after the other, the median."""
        gateway = await self._system.start_gateway(env)
        worker = await self._system.start_worker(env)
        await self._system.clear()
        run_ids = await self._system.add_runs(1, self._each)
        async with one_by_one(self._system, token) as one:
            taken = await one.cancel(run_ids)
        await gateway.stop()
        await worker.stop()
        return median(taken.recorded)
