"""Cancels that arrive all the time while something happens to the cluster, and what came of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain
from time import monotonic, time
from typing import Final

from tests.support.broker.cluster.clustered import ClusteredSystem
from tests.support.broker.many_cancels import Storm
from tools.support.processes import until_gone
from tools.support.program import Program
from tools.support.waiting import eventually

HOSTS: Final = ("a", "b")
RUNNING: Final = range(1, 5)
QUEUED: Final = range(100, 6100)
BEFORE: Final = 40
"""Cancels that are accepted before it happens."""
AFTER: Final = 40
"""Cancels that are accepted after it is over."""
_GRACE: Final = 1
"""Seconds, for those that must be killed."""
_AT_ONCE: Final = 3
_PAUSE: Final = 0.1
_DECIDED: Final = 30.0
"""Seconds until all that was accepted has its outcome, once the cluster is whole."""


@dataclass
class Drill:
    """A gateway, two workers, four runs that must be killed and many that wait."""

    clustered: ClusteredSystem
    storm: Storm
    gateway: Program
    workers: list[Program]
    marks: list[str]
    began: float = 0.0
    """When it happened, by the monotonic clock."""
    _over: bool = field(default=False, repr=False)

    @classmethod
    async def prepare(
        cls,
        clustered: ClusteredSystem,
        *,
        gateway_at: int | None = None,
        workers_at: int | None = None,
        **gateway: str,
    ) -> "Drill":
        """The nodes are those to which the programs connect at first.

        `gateway`: more of its environment.
        """
        system = clustered.system
        workers = [await clustered.worker(host, workers_at) for host in HOSTS]
        program, api = await clustered.gateway(gateway_at, **gateway)
        await system.database.execute(
            "INSERT INTO runs (run_id) SELECT generate_series($1::bigint, $2::bigint)",
            QUEUED[0],
            QUEUED[-1],
        )
        marks = []
        for run in RUNNING:
            socket = system.socket(HOSTS[run % 2])
            marks.append((await system.launch_bad_child(run, "ignores_term", socket=socket))[1])
        urls = [proxy.proxied for proxy in clustered.proxies]
        storm = Storm(api, urls, system.topology, at_once=_AT_ONCE, pause=_PAUSE)
        return cls(clustered, storm, program, workers, marks)

    @asynccontextmanager
    async def cancels(self) -> AsyncIterator[None]:
        """Cancels arrive before, during and after the block."""
        direct = chain(RUNNING[:2], QUEUED[1:40:2], RUNNING[2:], QUEUED[41::2])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                self.storm.send(
                    self._until_over(QUEUED[::2]), self._until_over(direct), grace_seconds=_GRACE
                )
            )
            await self.storm.has_accepted(BEFORE)
            self.began = monotonic()
            yield
            await self.storm.has_accepted(len(self.storm.accepted) + AFTER)
            self._over = True

    def _until_over(self, runs: "Iterator[int] | range | chain[int]") -> Iterator[int]:
        for run in runs:
            if self._over:
                return
            yield run

    async def nothing_is_lost(self, what: str, within: float = _DECIDED) -> float:
        """Every cancel that was accepted has its outcome, once, and all programs are well.

        Prints the figures. Returns the longest time without an accepted cancel, in seconds.
        """
        system, storm = self.clustered.system, self.storm
        accepted = sorted(storm.accepted)
        assert set(RUNNING) <= set(accepted)
        commands = [storm.commands[run] for run in accepted if run in storm.commands]
        await eventually(
            lambda: system.database.fetch(_NOT_CANCELED, accepted),
            lambda rows: not rows,
            what="accepted and not canceled",
            deadline=within,
        )
        await eventually(
            lambda: system.database.fetch(_UNDECIDED, commands),
            lambda rows: not rows,
            what="accepted and without an outcome",
            deadline=within,
        )
        for row in await system.database.fetch(_OUTCOMES, accepted):
            outcomes = row["outcomes"]
            assert (
                1 <= len(outcomes) <= storm.sent[row["run_id"]] or row["run_id"] in storm.commands
            )
            assert outcomes.count("canceled") == 1, row
            assert set(outcomes) <= {"canceled", "no_op"}, row
        for mark in self.marks:
            await until_gone(mark, deadline=0)
        for program in (self.gateway, *self.workers):
            assert program.process.returncode is None
        assert set(storm.refused) <= {503}
        begin, end = storm.longest_pause(self.began)
        slowest = await self._slowest_outcome()
        print(
            f"\nRabbitMQ {self.clustered.cluster.version}, {what}: accepts again after"
            f" {end - begin:.1f} s, slowest outcome {slowest:.1f} s, accepted {len(accepted)},"
            f" answered 503 {storm.refused[503]}, not confirmed {storm.lost},"
            f" declined {storm.declined}, lost 0"
        )
        return end - begin

    async def _slowest_outcome(self) -> float:
        """The longest time from an accepted cancel to its outcome, seconds."""
        clock = time() - monotonic()
        ended = await self.clustered.system.database.fetch(_ENDED, list(self.storm.accepted))
        waits = [row["at"] - (self.storm.accepted[row["run_id"]] + clock) for row in ended]
        return float(max(waits))

    async def queues_drain(self) -> None:
        """Nothing is left in any queue, not even taken and unacknowledged."""

        async def left() -> dict[str, int]:
            found = await self.clustered.do(self.clustered.cluster.messages)
            return {queue: n for queue in self.clustered.queues if (n := found[queue])}

        await eventually(left, lambda left: not left, what="left in the queues")


_NOT_CANCELED: Final = """
    SELECT run_id, status FROM runs WHERE run_id = ANY($1::bigint[]) AND status <> 'canceled'
"""
_UNDECIDED: Final = """
    SELECT id FROM unnest($1::text[]::uuid[]) AS id
     WHERE NOT EXISTS (SELECT FROM cancellations c
                        WHERE c.command_id = id AND c.outcome IS NOT NULL)
"""
_OUTCOMES: Final = """
    SELECT run_id, array_agg(outcome) AS outcomes FROM cancellations
     WHERE run_id = ANY($1::bigint[]) GROUP BY run_id
"""
_ENDED: Final = """
    SELECT run_id, extract(epoch FROM finished_at)::float8 AS at FROM cancellations
     WHERE run_id = ANY($1::bigint[]) AND outcome = 'canceled'
"""
