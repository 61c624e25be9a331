"""Cancels of one run by either way, sometimes more than once, with force or a grace period."""

import asyncio
from random import Random

from tools.chaos.driver.cancels import Cancels
from tools.chaos.driver.direct import DirectPublisher
from tools.chaos.driver.registering.asked import GRACES


class AnyCancel:
    def __init__(self, cancels: Cancels, direct: DirectPublisher) -> None:
        self._cancels = cancels
        self._direct = direct

    async def __call__(self, run_id: int, random: Random) -> None:
        if random.random() < 0.55:
            times = random.choices([1, 2, 3], [8, 1, 1])[0]
            async with asyncio.TaskGroup() as tasks:
                for number in range(times):
                    own = Random(f"{random.random()} {number}")
                    is_forced = own.random() < 0.12
                    tasks.create_task(self._cancels.cancel(run_id, own, force=is_forced))
            return
        fields: dict[str, object] = {}
        if random.random() < 0.15:
            fields["force"] = True
        elif random.random() < 0.3:
            fields["grace_seconds"] = random.choice(GRACES)
        command = await self._direct.cancel(run_id, random, **fields)
        for _ in range(random.choices([0, 1, 2], [7, 2, 1])[0]):
            await self._direct.publish(command, random)
