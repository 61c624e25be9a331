"""Faults of the network between a group of programs and a service."""

import asyncio
from random import Random

from tools.chaos.faults import Scene, fault
from tools.support.proxy import TcpProxy


@fault(often=2)
async def network_cut(scene: Scene, random: Random) -> str:
    """Connections are reset, and new ones refused for a while."""
    name, proxy = _choice(scene, random)
    seconds = random.choice([0.0, random.uniform(0.5, 4)])
    proxy.refuse()
    try:
        await proxy.cut()
        await asyncio.sleep(seconds)
    finally:
        proxy.accept()
    return f"{name} for {seconds:.1f} s"


@fault(often=2)
async def network_stalled(scene: Scene, random: Random) -> str:
    """Nothing is delivered, without an error; then all of it is, or the connections are gone."""
    name, proxy = _choice(scene, random)
    seconds, is_cut = random.uniform(0.5, 9), random.random() < 0.3
    only_answers = random.random() < 0.3
    try:
        (proxy.stall_answers if only_answers else proxy.stall)()
        await asyncio.sleep(seconds)
        if is_cut:
            await proxy.cut()
    finally:
        proxy.resume()
    what = "answers of " if only_answers else ""
    return f"{what}{name} for {seconds:.1f} s" + (", then cut" if is_cut else "")


@fault()
async def network_slowed(scene: Scene, random: Random) -> str:
    name, proxy = _choice(scene, random)
    seconds, delay = random.uniform(2, 6), random.uniform(0.02, 0.3)
    try:
        proxy.slow(delay)
        await asyncio.sleep(seconds)
    finally:
        proxy.resume()
    return f"{name} by {delay * 1000:.0f} ms for {seconds:.1f} s"


def _choice(scene: Scene, random: Random) -> tuple[str, TcpProxy]:
    proxies = scene.system.network.proxies
    group, service = random.choice(sorted(proxies))
    return f"{group} to {service}", proxies[group, service]
