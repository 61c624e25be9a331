"""Several processes serve one port: they share its limits and counts, and one may end."""

import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.support.http.api import Api
from tests.support.telemetry.exposition import scrape
from tools.support.program import Program
from tools.support.rows import RUNNING, insert_run
from tools.support.system import System
from tools.support.waiting import eventually


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that opens a connection for each request, so that any process may get it."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield session


async def _gateway(system: System, **env: str) -> tuple[Program, str]:
    """Two processes that serve, and their URL."""
    program = await system.program("gateway", "serve", "--port", "0", "--processes", "2", **env)
    for number in (1, 2):
        ready = await program.event("gateway_ready", process=number)
    return program, str(ready["url"])


async def _pid(program: Program, number: int, count: int = 1) -> int:
    started = await program.event("gateway_process_started", process=number, count=count)
    return int(started["pid"])


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _events(program: Program, *names: str) -> list[tuple[str, Any]]:
    """The events with these names, in order, and which process logged each."""
    return [
        (event["event"], event.get("process"))
        for event in program.events
        if event["event"] in names
    ]


async def test_each_process_gets_requests_and_a_limit_holds_across_them(
    system: System, http: aiohttp.ClientSession
) -> None:
    await insert_run(system.database, 1, RUNNING)
    program, url = await _gateway(system)
    api = Api(url, http, await system.token(limit=5))

    answers = [(await api.ask("GET", "/api/v1/runs/1")).status for _ in range(25)]

    assert sorted(answers) == [200] * 5 + [429] * 20
    assert {process for _, process in _events(program, "request")} == {1, 2}


async def test_a_killed_process_is_started_again_while_the_other_serves(
    system: System, http: aiohttp.ClientSession
) -> None:
    await insert_run(system.database, 1, RUNNING)
    program, url = await _gateway(system)
    api = Api(url, http, await system.token())

    os.kill(await _pid(program, 1), signal.SIGKILL)
    await program.event("gateway_process_ended", process=1, reason="signal 9")
    again = asyncio.create_task(program.event("gateway_ready", process=1, count=2))
    while not again.done():
        assert (await api.ask("GET", "/api/v1/runs/1")).status == 200

    assert await _pid(program, 1, count=2) != await _pid(program, 1)
    assert await program.stop() == 0


async def test_a_process_that_cannot_be_started_is_tried_again_while_the_other_serves(
    system: System, http: aiohttp.ClientSession
) -> None:
    program, url = await _gateway(system)
    before = resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE, (3, before[1]))

    os.kill(await _pid(program, 1), signal.SIGKILL)
    reason = "not started: Too many open files"
    await program.event("gateway_process_ended", process=1, reason=reason)
    async with http.get(f"{url}/healthz") as response:
        assert response.status == 200
    resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE, before)

    await program.event("gateway_ready", process=1, count=2)
    assert await program.stop() == 0


async def test_any_process_shows_the_counts_of_all(
    system: System, http: aiohttp.ClientSession
) -> None:
    await insert_run(system.database, 1, RUNNING)
    program, url = await _gateway(system)
    api = Api(url, http, await system.token())
    for _ in range(20):
        await api.cancel(1)
    os.kill(await _pid(program, 2), signal.SIGKILL)
    await program.event("gateway_ready", process=2, count=2)

    for _ in range(10):  # whichever answers
        exposed = await scrape(http, url)
        assert exposed.value("cancel_accepts_total", outcome="accepted") == 20
        assert exposed.value("cancel_publish_duration_seconds_count", result="confirmed") == 20
        assert exposed.value("cancel_service_up", service="postgres") == 1
        assert exposed.value("cancel_event_streams") == 0
        assert exposed.types["cancel_accepts"] == "counter"


async def test_open_streams_of_a_killed_process_are_not_counted(
    system: System, http: aiohttp.ClientSession
) -> None:
    program, url = await _gateway(system)
    headers = {"Authorization": f"Bearer {await system.token()}"}
    streams = [await http.get(f"{url}/api/v1/events", headers=headers) for _ in range(12)]

    async def counted() -> float | None:
        return (await scrape(http, url)).value("cancel_event_streams")

    await eventually(counted, lambda count: count == 12)
    os.kill(await _pid(program, 1), signal.SIGKILL)
    ended = 0
    for stream in streams:
        try:
            async with asyncio.timeout(0.5):
                ended += await stream.content.read() is None
        except TimeoutError:
            continue
        except aiohttp.ClientError:
            ended += 1

    assert 0 < ended < 12
    await eventually(counted, lambda count: count == 12 - ended)


async def test_sigterm_stops_one_process_after_the_other(system: System) -> None:
    program, _ = await _gateway(system)

    assert await program.stop() == 0

    assert _events(program, "gateway_stopping", "gateway_stopped") == [
        ("gateway_stopping", 1),
        ("gateway_stopped", 1),
        ("gateway_stopping", 2),
        ("gateway_stopped", 2),
        ("gateway_stopped", None),
    ]


async def test_no_process_is_ready_while_they_drain(
    system: System, http: aiohttp.ClientSession
) -> None:
    program, url = await _gateway(system, CANCEL_GATEWAY_DRAIN_DURATION="30")
    program.process.send_signal(signal.SIGTERM)
    for number in (1, 2):
        # At once: in turn, the second one would have its own after 5 s.
        await program.event("gateway_draining", process=number, deadline=4)

    for _ in range(10):
        async with http.get(f"{url}/readyz") as response:
            assert response.status == 503
    assert await program.stop() == 0  # a second signal ends the draining


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGHUP])
async def test_processes_do_not_outlive_their_supervisor(
    system: System, ended_by: signal.Signals
) -> None:
    program, _ = await _gateway(system)
    pids = [await _pid(program, number) for number in (1, 2)]

    program.process.send_signal(ended_by)

    await eventually(lambda: not any(map(_is_alive, pids)))


async def test_a_process_that_does_not_stop_is_killed(system: System) -> None:
    program, _ = await _gateway(system, CANCEL_GATEWAY_SHUTDOWN_TIMEOUT="0.1")
    pids = [await _pid(program, number) for number in (1, 2)]
    os.kill(pids[1], signal.SIGSTOP)

    assert await program.stop() == 0

    assert not any(map(_is_alive, pids))
    assert _events(program, "gateway_process_killed") == [("gateway_process_killed", 2)]


@pytest.mark.parametrize("first, second", [("2", "2"), ("2", "1"), ("1", "2")])
async def test_no_other_gateway_gets_the_port(system: System, first: str, second: str) -> None:
    program = await system.program("gateway", "serve", "--port", "0", "--processes", first)
    url = (await program.event("gateway_ready"))["url"]
    port = url.rpartition(":")[2]

    code, _, err = await system.cli("gateway", "serve", "--port", port, "--processes", second)

    assert code == 2
    assert err.endswith(f"cannot listen on 127.0.0.1:{port}: Address already in use\n")


async def test_a_service_that_is_away_at_the_start_is_said_once(system: System) -> None:
    code, _, err = await system.cli(
        *("gateway", "serve", "--port", "0", "--processes", "2"),
        env={"AMQP_URL": "amqp://127.0.0.1:1/", "CANCEL_STARTUP_TIMEOUT": "0.1"},
    )

    assert code == 1
    assert err.count("cancel-gateway: ") == 1
    assert "Traceback" not in err
