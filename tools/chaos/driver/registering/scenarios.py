"""Scenarios about registrations: repeats, conflicts, refusals, batches, cancels too early."""

import asyncio
from random import Random

from tools.chaos.driver.any_cancel import AnyCancel
from tools.chaos.driver.cancels import Cancels
from tools.chaos.driver.registering.asked import Asked, other_than, some_options
from tools.chaos.driver.runs import Job, Runs


class RegisteringScenarios:
    def __init__(self, hosts: list[str], runs: Runs, cancel: AnyCancel, cancels: Cancels) -> None:
        self._hosts = hosts
        self._runs = runs
        self._cancel = cancel
        self._cancels = cancels

    async def again(self, random: Random) -> None:
        """Repeats and conflicts, while the run is launched and canceled."""
        run = await self._runs.add(random.choice(self._hosts), some_options(random), random)
        async with asyncio.TaskGroup() as tasks:
            if not self._runs.is_full:
                await self._runs.launch(run, Job("obeys", random.uniform(0.1, 2)))
            tasks.create_task(self._runs.add_again(run, Random(random.random())))
            tasks.create_task(self._cancel(run.run_id, Random(random.random())))
        await self._runs.add_again(run, random)

    async def at_once(self, random: Random) -> None:
        """Two platforms ask for one run: one of them gets it."""
        registrar, options = self._runs.registrar, some_options(random)
        run = self._runs.new(random.choice(self._hosts), options)
        other = Asked(run.run_id, other_than(options, random))
        async with asyncio.TaskGroup() as tasks:
            for asked in (run.asked, other):
                own = Random(random.random())
                tasks.create_task(registrar.register([asked], own, registrar.way(own)))
        await registrar.until_on_record([run.run_id])
        await self._cancel(run.run_id, random)

    async def refused(self, random: Random) -> None:
        await self._runs.add_invalid(random)

    async def canceled_early(self, random: Random) -> None:
        """A cancel that may overtake the message by which the run is registered."""
        host, message = random.choice(self._hosts), self._runs.registrar.message
        (run,) = await self._runs.add_all(
            host, [some_options(random)], random, message, is_awaited=False
        )
        await self._cancel(run.run_id, random)

    async def superseded(self, random: Random) -> None:
        """Runs of one branch, registered at once; a newer commit cancels all but the last."""
        labels = {"branch": f"feature/{random.random()}", "repository": "web"}
        options = [{**some_options(random), "labels": labels} for _ in range(random.randint(2, 8))]
        registrar = self._runs.registrar
        way = registrar.post if random.random() < 0.6 else registrar.way(random)
        runs = await self._runs.add_all(random.choice(self._hosts), options, random, way)
        for run in runs[: random.randrange(3)]:
            if not self._runs.is_full:
                await self._runs.launch(run, Job("late", random.uniform(0.5, 3)))
        await asyncio.sleep(random.uniform(0, 0.5))
        before = runs[-1].run_id
        asked = {"labels": {"branch": labels["branch"]}, "before_run": before}
        await self._cancels.cancel_many(asked, random)

    async def many_canceled(self, random: Random) -> None:
        """Runs in any state by their ids, sometimes an unknown one among them."""
        host, registrar = random.choice(self._hosts), self._runs.registrar
        options = [some_options(random) for _ in range(random.randint(1, 5))]
        runs = await self._runs.add_all(host, options, random, registrar.way(random))
        if not self._runs.is_full:
            await self._runs.launch(runs[0], Job("sessions"))
        run_ids = [run.run_id for run in runs]
        if random.random() < 0.3:
            run_ids.append(self._runs.unknown_id())
        random.shuffle(run_ids)
        async with asyncio.TaskGroup() as tasks:
            own = Random(random.random())
            tasks.create_task(self._cancels.cancel_many({"run_ids": run_ids}, own))
            if random.random() < 0.3:
                tasks.create_task(self._cancel(runs[-1].run_id, random))
