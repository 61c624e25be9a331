"""The worker's socket: who may ask for what. The tests speak to it themselves."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from tests.support.launcher.launching import (
    blocked_in_database,
    is_live,
    locked_run,
    sleeping_child,
)
from tools.support.processes import alive
from tools.support.system import System
from worker.launcher import wire


async def ask(system: System, target: str, **body: object) -> wire.Answer:
    return await asyncio.to_thread(wire.post, str(system.socket()), target, body, 20)


async def raw(system: System, request: bytes) -> bytes:
    """What the worker answers to these very bytes, up to the end of its answer's head."""
    reader, writer = await asyncio.open_unix_connection(system.socket())
    async with asyncio.timeout(10):
        writer.write(request)
        answer = await reader.read(65536)
    writer.close()
    return answer


@pytest.fixture
async def child() -> AsyncIterator[int]:
    """A child of the test, which thereby is a launcher."""
    async with sleeping_child() as pid:
        yield pid


def post(body: bytes, target: str = wire.LAUNCHES, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = (
        f"POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
    )
    return head.encode() + body


MALFORMED: dict[str, tuple[bytes, int]] = {
    "not HTTP": (b"\x00\xff\r\n\r\n", 400),
    "not JSON": (post(b"{"), 400),
    "not an object": (post(b"[1]"), 400),
    "nothing": (post(b""), 400),
    "not UTF-8": (post(b'{"run_id": "\xff"}'), 400),
    "no pid": (post(b'{"run_id": 1}'), 400),
    "a text for a number": (post(b'{"run_id": 1, "pid": "77"}'), 400),
    "pid of everybody": (post(b'{"run_id": 1, "pid": -1}'), 400),
    "pid 1": (post(b'{"run_id": 1, "pid": 1}'), 400),
    "pid beyond all": (post(b'{"run_id": 1, "pid": 99999999999}'), 400),
    "run id beyond all": (post(b'{"run_id": 99999999999999999999, "pid": 77}'), 400),
    "exit code beyond all": (post(b'{"run_id": 1, "exit_code": 256}', wire.COMPLETIONS), 400),
    "too long": (post(b" " * 5000), 413),
    "unknown path": (post(b"{}", "/v1/secrets"), 404),
    "wrong method": (b"GET /v1/launches HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
}


async def test_what_is_malformed_gets_a_4xx_and_the_worker_goes_on(
    system: System, child: int
) -> None:
    worker = await system.worker()
    await system.add_run(1)

    for name, (request, status) in MALFORMED.items():
        answer = await raw(system, request)
        assert answer.split(b" ")[1] == str(status).encode(), (name, answer)
    # One that says less than it promised, and leaves.
    _, writer = await asyncio.open_unix_connection(system.socket())
    writer.write(post(b'{"run', length=100))
    writer.transport.abort()

    assert (await system.run(1))["status"] == "queued"
    assert (await ask(system, wire.LAUNCHES, run_id=1, pid=child))[0] == 200
    assert not [e for e in worker.events if e["event"] == "launcher_request_failed"], worker.log()


async def test_a_claim_asked_for_twice_at_once_is_one_and_the_same(
    system: System, child: int
) -> None:
    """A launcher that stopped waiting asks again while its first claim is still under way."""
    await system.worker()
    await system.add_run(1)
    async with locked_run(system, 1):
        claims = [
            asyncio.create_task(ask(system, wire.LAUNCHES, run_id=1, pid=child)) for _ in range(2)
        ]
        await blocked_in_database(system, statements=2)

    answers = await asyncio.gather(*claims)

    assert [status for status, _ in answers] == [200, 200]
    assert answers[0] == answers[1]
    run = await system.run(1)
    assert UUID(str(answers[0][1]["launch_id"])) == run["launch_id"]
    assert (run["pid"], run["launcher_pid"]) == (child, os.getpid())
    assert is_live(child)


async def test_a_run_that_has_a_child_takes_no_other(system: System, child: int) -> None:
    await system.worker()
    await system.add_run(1)
    other = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        assert (await ask(system, wire.LAUNCHES, run_id=1, pid=child))[0] == 200
        status, answer = await ask(system, wire.LAUNCHES, run_id=1, pid=other.pid)
    finally:
        if is_live(other.pid):
            other.kill()
        await other.wait()

    assert (status, answer) == (409, {"refused": "already_started"})
    assert (await system.run(1))["pid"] == child


async def test_a_launcher_claims_for_its_own_children_only(system: System) -> None:
    await system.worker()
    await system.add_run(1)
    shell = await asyncio.create_subprocess_exec(
        *("sh", "-c", "sleep 600 & echo $!; wait"), stdout=asyncio.subprocess.PIPE
    )
    assert shell.stdout is not None
    grandchild = int(await shell.stdout.readline())

    for pid in (grandchild, os.getpid(), os.getppid(), 2**30):
        status, answer = await ask(system, wire.LAUNCHES, run_id=1, pid=pid)
        assert (status, "not a child" in str(answer["error"])) == (403, True), answer

    os.kill(grandchild, signal.SIGKILL)
    await shell.wait()
    assert (await system.run(1))["status"] == "queued"


async def test_a_launcher_completes_its_own_run_only(system: System, child: int) -> None:
    await system.worker()
    await system.add_run(2)
    launched, mark = await system.launch_bad_child(1, "sleeps")

    for run_id in (1, 2, 3):  # another's, a queued one, one that does not exist
        status, answer = await ask(system, wire.COMPLETIONS, run_id=run_id, exit_code=0)
        assert (status, "does not belong to the caller" in str(answer["error"])) == (403, True), (
            answer
        )

    assert (await system.run(1))["status"] == "running"
    assert (await system.run(2))["status"] == "queued"
    assert len(alive(mark)) == 1, "what it did not start, it has not left behind"
    launched.process.send_signal(signal.SIGTERM)
    assert await launched.exit_code() == 143


async def test_a_completion_is_final(system: System, child: int) -> None:
    await system.worker()
    await system.add_run(1)
    await ask(system, wire.LAUNCHES, run_id=1, pid=child)

    assert (await ask(system, wire.COMPLETIONS, run_id=1, exit_code=4))[0] == 200
    first = await system.run(1)
    status, again = await ask(system, wire.COMPLETIONS, run_id=1, exit_code=0)

    assert (status, again["status"], again["stopping"]) == (200, "fail", False)
    assert await system.run(1) == first


async def test_a_caller_that_hung_up_may_ask_again(system: System, child: int) -> None:
    worker = await system.worker()
    await system.add_run(1)

    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(system.socket()))
        connection.sendall(post(json.dumps({"run_id": 1, "pid": child}).encode()))
    await system.status_becomes(1, "running")

    claims: list[Any] = [e for e in worker.events if e["event"] == "run_claimed"]
    assert len(claims) <= 1
    assert (await ask(system, wire.LAUNCHES, run_id=1, pid=child))[0] == 200


INHERITED = """
import os, socket, sys
connection = socket.socket(socket.AF_UNIX)
child = os.fork()
if child == 0:
    connection.connect(sys.argv[1])
    os._exit(0)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
body = b'{"run_id": 1, "exit_code": 0}'
connection.sendall(
    b"POST /v1/completions HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n"
    b"Content-Length: %d\\r\\n\\r\\n%s" % (len(body), body)
)
print(connection.makefile("rb").read().decode())
"""


async def test_a_connection_whose_maker_is_dead_speaks_for_no_run(system: System) -> None:
    """Its pid stays in the kernel's credentials, and may by now be another launcher's."""
    await system.worker()

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", "-c", INHERITED, str(system.socket())),
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await process.communicate()

    assert answer.startswith(b"HTTP/1.1 403")
    assert b"the caller is gone" in answer
