"""Faults of one server: each kind strikes, and never two at a time."""

import asyncio

from tools.chaos.system.turns import Turns
from tools.support.waiting import eventually


class Struck:
    """Faults of these kinds, each of which holds the server until it is told to end."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.holding: list[str] = []
        self.skipped: list[str] = []
        self.end = asyncio.Event()

    async def strike(self, kind: str) -> None:
        async with self.turns.take(kind) as is_ours:
            if not is_ours:
                self.skipped.append(kind)
                return
            self.holding.append(kind)
            await self.end.wait()


async def test_the_first_of_a_kind_waits_and_the_second_goes_without() -> None:
    struck = Struck()
    async with asyncio.TaskGroup() as tasks:
        for kind in ("killed", "moved", "moved", "killed"):
            tasks.create_task(struck.strike(kind))
        await eventually(lambda: len(struck.skipped) == 2)
        assert struck.holding == ["killed"]
        struck.end.set()

    assert (struck.holding, struck.skipped) == (["killed", "moved"], ["moved", "killed"])


async def test_what_waits_when_the_load_is_over_goes_without() -> None:
    struck = Struck()
    async with asyncio.TaskGroup() as tasks:
        for kind in ("killed", "moved"):
            tasks.create_task(struck.strike(kind))
        await eventually(lambda: struck.holding == ["killed"])
        struck.turns.end()
        struck.end.set()

    assert (struck.holding, struck.skipped) == (["killed"], ["moved"])


async def test_a_kind_may_strike_again_when_the_server_is_free() -> None:
    struck = Struck()
    struck.end.set()
    for _ in range(2):
        await struck.strike("killed")

    assert struck.holding == ["killed", "killed"]
