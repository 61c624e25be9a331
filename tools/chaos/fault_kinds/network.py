"""Faults of the network between a group of programs and a service, or one server of it."""

import asyncio
from random import Random

from tools.chaos.faults import Scene, fault
from tools.chaos.system.network import GROUPS, Service
from tools.support.proxy import TcpProxy


@fault(often=2)
async def network_cut(scene: Scene, random: Random) -> str:
    """Connections are reset, and new ones refused for a while."""
    name, proxies = _choice(scene, random)
    seconds = random.choice([0.0, random.uniform(0.5, 4)])
    for proxy in proxies:
        proxy.refuse()
    try:
        for proxy in proxies:
            await proxy.cut()
        await asyncio.sleep(seconds)
    finally:
        for proxy in proxies:
            proxy.accept()
    return f"{name} for {seconds:.1f} s"


@fault(often=2)
async def network_stalled(scene: Scene, random: Random) -> str:
    """Nothing is delivered, without an error; then all of it is, or the connections are gone."""
    name, proxies = _choice(scene, random)
    seconds, is_cut = random.uniform(0.5, 9), random.random() < 0.3
    only_answers = random.random() < 0.3
    try:
        for proxy in proxies:
            (proxy.stall_answers if only_answers else proxy.stall)()
        await asyncio.sleep(seconds)
        if is_cut:
            for proxy in proxies:
                await proxy.cut()
    finally:
        for proxy in proxies:
            proxy.resume()
    what = "answers of " if only_answers else ""
    return f"{what}{name} for {seconds:.1f} s" + (", then cut" if is_cut else "")


@fault()
async def network_slowed(scene: Scene, random: Random) -> str:
    name, proxies = _choice(scene, random)
    seconds, delay = random.uniform(2, 6), random.uniform(0.02, 0.3)
    try:
        for proxy in proxies:
            proxy.slow(delay)
        await asyncio.sleep(seconds)
    finally:
        for proxy in proxies:
            proxy.resume()
    return f"{name} by {delay * 1000:.0f} ms for {seconds:.1f} s"


def _choice(scene: Scene, random: Random) -> tuple[str, list[TcpProxy]]:
    """To all servers of a service, or to one of several."""
    group, service = random.choice(GROUPS), random.choice(list(Service))
    proxies = scene.system.network.between(group, service)
    one, is_one = random.randrange(len(proxies)), random.random() < 0.5
    if len(proxies) > 1 and is_one:
        return f"{group} to {service} {one}", [proxies[one]]
    return f"{group} to {service}", proxies
