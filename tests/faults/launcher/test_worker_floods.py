"""Who opens connections to a worker without end keeps no other from starting or stopping a run."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

import pytest
from yarl import URL

from tests.support.launcher.job_user import JobUser
from tests.support.launcher.launching import blocked_in_database, locked_run, sleeping_child
from tests.support.network import flood
from tools.support.system import System
from worker.launcher import wire

SOURCE: Final = Path(flood.__file__).read_text()
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def child() -> AsyncIterator[int]:
    """A child of the test, which thereby is a launcher."""
    async with sleeping_child() as pid:
        yield pid


async def ask(system: System, **body: object) -> wire.Answer:
    return await asyncio.to_thread(wire.post, str(system.socket()), wire.LAUNCHES, body, 20)


@pytest.mark.parametrize("kind", ["silent", "storm"])
async def test_a_job_that_floods_the_workers_socket_keeps_no_neighbor_waiting(
    system: System, kind: str
) -> None:
    few_files = ("sh", "-c", 'ulimit -n 1000; exec "$@"', "sh")
    worker = await system.worker(within=few_files)
    await system.add_run(1)
    user = JobUser(system)
    command = 'for n in 1 2; do "$@" & done; wait'
    # The mark, or a test that fails would leave a flood for all that follow.
    program = (user.python, "-S", "-X", system.new_mark(), "-c", SOURCE)
    arguments = (*program, kind, "3000", "0", str(system.socket()))
    launched = await user.launch(1, "sh", "-c", command, "sh", *arguments)
    assert launched.stdout is not None
    async with asyncio.timeout(100):
        await launched.stdout.readexactly(len(b"ready\n" * 2))

    begun = monotonic()
    neighbor, mark = await system.launch_bad_child(2, "sleeps")
    started = monotonic()
    row = await system.outcome_of(await system.publish(2, grace_seconds=1))
    canceled = monotonic()
    await system.add_run(3)
    assert await (await user.launch(3, "true")).wait() == 0  # of the same user
    over = monotonic()

    print(
        f"{kind}: start {started - begun:.2f} s, cancel {canceled - started:.2f} s, "
        f"a whole run of the same user {over - canceled:.2f} s"
    )
    assert (row["outcome"], mark != "") == ("canceled", True)
    assert await neighbor.exit_code() == 143
    assert started - begun < 5
    assert canceled - started < 5
    assert over - canceled < 5
    assert not [e for e in worker.events if "Too many open files" in str(e)]
    launched.kill()
    with suppress(ProcessLookupError):
        await launched.wait()


async def test_a_request_in_hand_keeps_its_place_and_who_finds_none_is_told_so(
    system: System, child: int
) -> None:
    worker = await system.worker(worker_connections=6, worker_connections_per_user=3)
    await system.add_run(1)
    silent: list[Streams] = []
    async with locked_run(system, 1):
        claims = [asyncio.create_task(ask(system, run_id=1, pid=child)) for _ in range(3)]
        await blocked_in_database(system, statements=3)
        silent += [await asyncio.open_unix_connection(system.socket()) for _ in range(200)]

        assert await ask(system, run_id=2, pid=child) == (
            503,
            {"error": "the worker has too many connections"},
        )

    assert [status for status, _ in await asyncio.gather(*claims)] == [200, 200, 200]
    assert (await ask(system, run_id=2, pid=child))[0] < 500  # asked among silent ones
    assert (await worker.event("connections_crowded"))["most_held_by"] == os.getuid()
    for _, writer in silent:
        writer.transport.abort()


async def test_a_head_or_body_that_never_ends_is_cut_off_after_ten_seconds(system: System) -> None:
    await system.worker()
    start = monotonic()
    head = b"POST /v1/launches HTTP/1.1\r\nHost: x\r\n"

    async def answer(sent: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(system.socket())
        writer.write(sent)
        try:
            async with asyncio.timeout(20):
                while True:
                    with suppress(TimeoutError):
                        return await asyncio.wait_for(reader.read(65536), 0.5)
                    writer.write(sent and b" ")  # the slowness under test
        finally:
            writer.transport.abort()

    silent, slow_head, slow_body = await asyncio.gather(
        answer(b""), answer(head + b"X: "), answer(head + b"Content-Length: 1000\r\n\r\n")
    )

    assert (silent, slow_head) == (b"", b"")
    assert slow_body.startswith(b"HTTP/1.1 408 ")
    assert 9 < monotonic() - start < 15


async def test_monitoring_is_answered_among_silent_connections(system: System) -> None:
    worker = await system.worker()
    url = URL((await worker.event("worker_ready"))["http"])
    silent = [await asyncio.open_connection(url.host, url.port) for _ in range(300)]

    for path in ("healthz", "readyz", "metrics"):
        async with system.http.get(url / path) as response:
            assert response.status == 200

    files = len(os.listdir(f"/proc/{worker.process.pid}/fd"))  # noqa: PTH208
    assert files < 200
    for _, writer in silent:
        writer.transport.abort()
