"""The load: a steady stream of scenarios, each chosen and played by the seed."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Final

from tools.chaos.driver.any_cancel import AnyCancel
from tools.chaos.driver.cancels import Cancels
from tools.chaos.driver.direct import DirectPublisher
from tools.chaos.driver.registering.asked import due_in, some_options
from tools.chaos.driver.registering.scenarios import RegisteringScenarios
from tools.chaos.driver.runs import Job, Run, Runs
from tools.chaos.options import Options

MOST_AT_ONCE: Final = 300
"""Scenarios that wait for something: beyond that the stream pauses."""
KINDS: Final = ("obeys", "stubborn", "late", "sessions", "daemon")
START_SECONDS: Final = 10.0

Scenario = Callable[[Random], Coroutine[None, None, None]]


class Load:
    def __init__(
        self,
        options: Options,
        hosts: list[str],
        runs: Runs,
        cancels: Cancels,
        direct: DirectPublisher,
    ) -> None:
        self._options = options
        self._hosts = hosts
        self._runs = runs
        self._cancels = cancels
        self._direct = direct
        self._cancel = AnyCancel(cancels, direct)
        registering = RegisteringScenarios(hosts, runs, self._cancel, cancels)
        self._over: list[Run] = []
        self._scenarios: list[tuple[Scenario, int]] = [
            (self._queued, 5),
            (self._running, 8),
            (self._claim_race, 4),
            (self._finishing, 4),
            (self._left_alone, 2),
            (self._over_already, 3),
            (self._escalated, 2),
            (self._late, 2),
            (registering.again, 2),
            (registering.at_once, 1),
            (registering.refused, 1),
            (registering.canceled_early, 1),
            (registering.superseded, 1),
            (registering.many_canceled, 1),
        ]

    async def run(self) -> None:
        """Begin `rate` scenarios per second for `seconds`, and return when all have ended."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        places = asyncio.Semaphore(MOST_AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._all_unknown())
            number = 0
            while (passed := loop.time() - begin) < self._options.seconds:
                await places.acquire()
                random = Random(f"{self._options.seed} scenario {number}")
                task = tasks.create_task(self._choose(random)(random))
                task.add_done_callback(lambda _: places.release())
                number += 1
                await asyncio.sleep(max(0.0, number / self._options.rate - passed))

    def _choose(self, random: Random) -> Scenario:
        (scenario,) = random.choices(
            [scenario for scenario, _ in self._scenarios],
            [weight for _, weight in self._scenarios],
        )
        return scenario

    async def _add(self, random: Random) -> Run:
        return await self._runs.add(random.choice(self._hosts), some_options(random), random)

    async def _launched(self, random: Random, job: Job) -> Run:
        run = await self._add(random)
        if not self._runs.is_full:  # else it stays queued, and its cancel is one of those
            await self._runs.launch(run, job)
        return run

    async def _queued(self, random: Random) -> None:
        run = await self._add(random)
        await self._cancel(run.run_id, random)
        if random.random() < 0.3 and not self._runs.is_full:  # too late: it must not start
            await self._runs.launch(run, Job())

    async def _running(self, random: Random) -> None:
        run = await self._launched(random, Job(random.choice(KINDS), code=3))
        await self._runs.started(run, START_SECONDS)
        await asyncio.sleep(random.uniform(0, 1.5))
        await self._cancel(run.run_id, random)
        self._over.append(run)

    async def _claim_race(self, random: Random) -> None:
        run = await self._add(random)
        async with asyncio.TaskGroup() as tasks:
            if not self._runs.is_full:
                tasks.create_task(self._runs.launch(run, Job(random.choice(KINDS))))
            await asyncio.sleep(random.uniform(0, 0.15))
            tasks.create_task(self._cancel(run.run_id, random))

    async def _finishing(self, random: Random) -> None:
        life = random.uniform(0.2, 1.0)
        run = await self._launched(random, Job("obeys", life, random.choice((0, 7))))
        await self._runs.started(run, START_SECONDS)
        await asyncio.sleep(max(0.0, life + random.uniform(-0.1, 0.1)))
        await self._cancel(run.run_id, random)

    async def _left_alone(self, random: Random) -> None:
        # Some leave processes behind.
        kind = random.choice(("obeys", "sessions", "daemon"))
        job = Job(kind, random.uniform(0.1, 2), random.choice((0, 1, 42)))
        self._over.append(await self._launched(random, job))

    async def _over_already(self, random: Random) -> None:
        if self._over:
            await self._cancel(random.choice(self._over).run_id, random)

    async def _escalated(self, random: Random) -> None:
        """A grace period whose end is not waited for: a second command forces it."""
        run = await self._launched(random, Job("stubborn"))
        await self._runs.started(run, START_SECONDS)
        await self._direct.cancel(run.run_id, random, grace_seconds=20)
        await asyncio.sleep(random.uniform(0.2, 2))
        await self._direct.cancel(run.run_id, random, force=True)

    async def _late(self, random: Random) -> None:
        """It may start until a moment ago, or soon; some start at about that moment."""
        wait = random.uniform(-2, 4)
        options = {**some_options(random), "start_before": due_in(wait, random)}
        run = await self._runs.add(random.choice(self._hosts), options, random)
        await asyncio.sleep(max(0.0, wait + random.uniform(-0.5, 0.5)))
        if random.random() < 0.6 and not self._runs.is_full:
            await self._runs.launch(run, Job(random.choice(KINDS), random.uniform(0.1, 1)))
        if random.random() < 0.3:
            await self._cancel(run.run_id, random)
        self._over.append(run)

    async def _all_unknown(self) -> None:
        """Early, since each takes 36 s to become a dead letter; some of them twice."""
        for number in range(self._options.unknown_count):
            random = Random(f"{self._options.seed} unknown {number}")
            command = await self._direct.cancel(self._runs.unknown_id(), random)
            if number % 3 == 1:
                await self._direct.publish(command, random)
            await self._cancels.cancel(self._runs.unknown_id(), random)  # 404, and nothing more
            await asyncio.sleep(self._options.seconds / 2 / self._options.unknown_count)
