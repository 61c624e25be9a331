"""A page hears that something has changed."""

import asyncio
from time import monotonic

from tests.support.console.operator import signed_in, start_console
from tools.support.system import System


async def test_a_page_hears_of_a_change_soon(system: System) -> None:
    _, url = await start_console(system)
    operator = await signed_in(system, url)
    async with operator.stream("/live") as stream, asyncio.timeout(20):
        await _next_event(stream)  # that nothing has changed for some seconds
        began = monotonic()

        await system.add_run(1)

        await _next_event(stream)
        assert monotonic() - began < 3  # sooner than what is told anyway
    await operator.close()


async def _next_event(stream: object) -> None:
    async for line in stream.content:  # type: ignore[attr-defined]  # aiohttp's own, untyped here
        if line == b"event: changed\n":
            return
    raise AssertionError("the stream ended")


async def test_a_stopping_console_ends_its_streams(system: System) -> None:
    program, url = await start_console(system)
    operator = await signed_in(system, url)
    async with operator.stream("/live") as stream:
        await _next_event(stream)
        assert await program.stop() == 0
    assert not [event for event in program.events if event["level"] == "error"]
    await operator.close()
