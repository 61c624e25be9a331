"""A program that edits a text: what counts as its answer, and that none outlives the command."""

import asyncio

import pytest

from worker.dead_letters.bodies.edit_program import Ended, run

TEXT = b"x" * 60_000


async def _ran(*command: str) -> Ended:
    async with asyncio.timeout(20):
        ended = await run(command, TEXT, 65_536, asyncio.Event())
    assert ended is not None
    return ended


@pytest.mark.parametrize(
    ("command", "printed"),
    [("cat", TEXT), ("true", b""), ("head -c 300000 /dev/zero >&2; cat", TEXT)],
    ids=["reads", "reads nothing", "says much on stderr"],
)
async def test_what_it_prints_is_taken(command: str, printed: bytes) -> None:
    assert await _ran("sh", "-c", command) == Ended(printed, None)


@pytest.mark.parametrize(
    ("command", "failure"),
    [
        ("echo one >&2; echo two >&2; exit 3", "sh exited with 3: two"),
        ("exit 1", "sh exited with 1"),
        ("kill -9 $$", "sh was ended by SIGKILL"),
        ("yes", "sh printed too much for a message"),
    ],
)
async def test_why_what_it_prints_does_not_count(command: str, failure: str) -> None:
    assert (await _ran("sh", "-c", command)).failure == failure


async def test_it_is_ended_with_all_that_it_started_once_the_command_is_to_stop() -> None:
    stop = asyncio.Event()
    stop.set()

    async with asyncio.timeout(20):
        assert await run(["sh", "-c", "sleep 1000 | cat"], TEXT, 10, stop) is None
