"""Faults of publishers."""

from random import Random

from tools.chaos.faults import SKIPPED, Scene, fault


@fault()
async def commands_repeated(scene: Scene, random: Random) -> str:
    """Commands of a while ago come once more, with the same ids."""
    known = list(scene.direct.published)
    chosen = random.sample(known, min(len(known), random.randint(1, 10)))
    for command in chosen:
        await scene.direct.publish(command, random)
    return f"{len(chosen)} of them" if chosen else f"{SKIPPED}there are none yet"
