"""Faults of our own programs: killed, restarted in order, paused."""

import asyncio
import signal
from random import Random

from tools.chaos.faults import SKIPPED, Scene, fault
from tools.chaos.system.slots import Slot


@fault(often=3)
async def worker_killed(scene: Scene, random: Random) -> str:
    return await _replaced(random.choice(scene.system.workers), signal.SIGKILL, random)


@fault(often=2)
async def gateway_killed(scene: Scene, random: Random) -> str:
    return await _replaced(random.choice(scene.system.gateways), signal.SIGKILL, random)


@fault()
async def worker_restarted(scene: Scene, random: Random) -> str:
    return await _replaced(random.choice(scene.system.workers), signal.SIGTERM, random)


@fault()
async def gateway_restarted(scene: Scene, random: Random) -> str:
    return await _replaced(random.choice(scene.system.gateways), signal.SIGTERM, random)


@fault()
async def worker_paused(scene: Scene, random: Random) -> str:
    slot, seconds = random.choice(scene.system.workers), random.uniform(1, 6)
    async with slot.lock:
        slot.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            slot.send(signal.SIGCONT)
    return f"{slot.name} for {seconds:.1f} s"


@fault(often=3)
async def launcher_killed(scene: Scene, random: Random) -> str:
    run_id = scene.runs.kill_a_launcher(random)
    return f"{SKIPPED}there is no launcher" if run_id is None else f"of run {run_id}"


async def _replaced(slot: Slot, signum: signal.Signals, random: Random) -> str:
    pause = random.choice([0.0, random.uniform(0.2, 4)])
    async with slot.lock:
        await slot.end(signum)
        await asyncio.sleep(pause)
        await slot.start()
    return f"{slot.name}, back after {pause:.1f} s"
