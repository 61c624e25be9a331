"""What a client of an event stream gets, and after a reconnect."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count
from time import monotonic
from typing import Final

import pytest
import pytest_asyncio
from yarl import URL

from gateway.events.event import TYPES
from shared.events import EventType
from tests.support.http.api import Api
from tests.support.http.event_stream import EVENTS, streaming, tell, tell_raw
from tests.support.shared_system import shared_system
from tests.support.telemetry.exposition import scrape
from tools.services import Services
from tools.support.program import DEADLINE, Program
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

ids = (f"e{number}" for number in count(1))
run_ids = count(1000)

RUN_ID_PROBLEM: Final = f"must be given once, as an integer from 1 to {2**63 - 1}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("sse")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(system: System) -> Program:
    program = await system.program("gateway", "serve", "--port", "0")
    await program.event("events_subscribed")
    return program


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(system: System, gateway: Program) -> Api:
    return Api(
        str((await gateway.event("gateway_ready"))["url"]), system.http, await system.token()
    )


async def test_an_event_of_a_worker_arrives_as_it_was_published(system: System, api: Api) -> None:
    await system.worker()
    run_id = next(run_ids)
    async with streaming(api, f"?run_id={run_id}") as stream:
        await system.add_run(run_id)
        message = await stream.event()

    assert message.event == message.json["type"] == EventType.RUN_REGISTERED.cloud_type
    assert message.id == message.json["id"]
    assert message.json["specversion"] == "1.0"
    assert message.json["data"]["run_id"] == run_id


async def test_the_headers_are_those_of_a_stream_and_of_every_answer(api: Api) -> None:
    async with streaming(api) as stream:
        headers = stream.response.headers

    assert headers["Content-Type"] == "text/event-stream"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "cancel-gateway"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert re.fullmatch(r"[0-9a-f]{32}", headers["X-Request-Id"])
    assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} <= set(headers)


async def test_an_event_with_line_breaks_is_one_line(system: System, api: Api) -> None:
    async with streaming(api) as stream:
        event = await tell(system, next(ids), data={"error": "a\nb\r\n"}, indent=2)
        message = await stream.event()

    assert message.json == event


async def test_a_stream_has_the_events_that_it_selects_and_no_others(
    system: System, api: Api
) -> None:
    run, other = next(run_ids), next(run_ids)
    query = f"?run_id={run}&type=ci.run.finished.v1&type=ci.cancel.settled.v1"
    async with streaming(api, query) as stream:
        await tell(system, next(ids), other)
        await tell(system, next(ids), run, EventType.RUN_STARTED.cloud_type)
        await tell(system, first := next(ids), run, EventType.RUN_FINISHED.cloud_type)
        await tell(system, next(ids), 0, EventType.CANCEL_REJECTED.cloud_type)
        await tell(system, last := next(ids), run, EventType.CANCEL_SETTLED.cloud_type)
        found = await stream.until(last)

    assert found == [first, last]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        *((f"run_id={bad}", {"run_id": RUN_ID_PROBLEM}) for bad in ("", "0", "-1", "x", "1.0")),
        *((f"run_id={bad}", {"run_id": RUN_ID_PROBLEM}) for bad in (2**63, "9" * 5000, "%D9%A1")),
        ("run_id=1&run_id=1", {"run_id": RUN_ID_PROBLEM}),
        ("type=run.finished", {"type": f"must be one of {', '.join(TYPES)}"}),
        ("type=ci.run.finished.v1&type=", {"type": f"must be one of {', '.join(TYPES)}"}),
        ("last_event_id=1", {"last_event_id": "is not a parameter of this request"}),
    ],
)
async def test_a_query_that_selects_nothing_is_refused(
    api: Api, query: str, fields: dict[str, str]
) -> None:
    answer = await api.ask("GET", f"{EVENTS}?{query}")

    assert answer.error == (400, "validation_error")
    assert answer.body["details"] == {"fields": fields}


async def test_a_client_that_reconnects_gets_what_it_missed_and_no_gap(
    system: System, api: Api
) -> None:
    run = next(run_ids)
    async with streaming(api, f"?run_id={run}") as stream:
        await tell(system, first := next(ids), run)
        await stream.until(first)
    await tell(system, second := next(ids), run)
    await tell(system, third := next(ids), run)

    async with streaming(api, f"?run_id={run}", first) as stream:
        found = await stream.until(third)

    assert found == [first, second, third]  # the first again: it is only a moment old


async def test_a_client_that_had_no_event_yet_can_reconnect_as_well(
    system: System, api: Api
) -> None:
    run = next(run_ids)
    async with streaming(api, f"?run_id={run}") as stream:
        message = await stream.next()
    assert message is not None
    assert (message.event, message.data) == (None, None)
    await tell(system, missed := next(ids), run)

    async with streaming(api, f"?run_id={run}", message.id) as stream:
        assert await stream.until(missed) == [missed]


async def test_a_client_that_had_an_event_before_this_gateway_has_it_gets_no_gap(
    system: System, api: Api
) -> None:
    run = next(run_ids)
    early = next(ids)

    async def events() -> list[str | None]:
        async with streaming(api, f"?run_id={run}", early) as stream:
            return await stream.until(early)

    async with asyncio.TaskGroup() as tasks:
        reconnecting = tasks.create_task(events())
        await tell(system, early, run)

    assert reconnecting.result() == [early]


async def test_a_client_with_an_unknown_id_is_first_told_of_the_gap(
    system: System, api: Api, gateway: Program
) -> None:
    run = next(run_ids)
    async with streaming(api, f"?run_id={run}") as stream:
        await tell(system, first := next(ids), run)
        await stream.until(first)

    asked = monotonic()
    async with streaming(api, f"?run_id={run}", "never-heard-of") as stream:
        gap, event = await stream.event(), await stream.event()
    assert monotonic() - asked > 1.9  # another gateway may have had it first

    assert (gap.id, gap.event) == (None, "gap")
    subscribed = datetime.fromisoformat((await gateway.event("events_subscribed"))["timestamp"])
    since = datetime.fromisoformat(gap.json["complete_since"])
    assert abs(since - subscribed) < timedelta(seconds=1)
    assert since < datetime.now(UTC)
    assert event.id == first


async def test_an_event_that_is_published_again_is_sent_once(system: System, api: Api) -> None:
    async with streaming(api) as stream:
        await tell(system, first := next(ids))
        await tell(system, first)
        await tell(system, last := next(ids))

        assert await stream.until(last) == [first, last]


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b"\xff", b"\x00"),
        b'{"id": "1", "subject": "1"}',
        b'{"id": "1\\nevent: x", "type": "t", "subject": "1"}',
        b'{"id": "1", "type": "t\\ndata: x", "subject": "1"}',
        b'{"id": 1, "type": "t", "subject": "1"}',
        b'{"id": "1", "type": "t", "subject": "one"}',
        b'{"id": "1", "type": "t", "subject": "' + b"1" * 30 + b'"}',
        b'{"id": "' + b"x" * 70_000 + b'", "type": "t", "subject": "1"}',
    ],
    ids=lambda body: f"{body!r:.40}",
)
async def test_what_is_no_event_is_logged_and_left_out(
    system: System, api: Api, gateway: Program, body: bytes
) -> None:
    async with streaming(api) as stream:
        await tell_raw(system, body, name := next(ids))
        await tell(system, last := next(ids))
        assert await stream.until(last) == [last]

    assert (await gateway.event("event_not_read", message_id=name))["level"] == "warning"


async def test_an_event_of_an_unknown_type_goes_to_streams_without_a_type(
    system: System, api: Api
) -> None:
    async with streaming(api) as stream:
        await tell(system, new := next(ids), kind="ci.run.paused.v2")

        assert await stream.until(new) == [new]


async def test_head_answers_at_once_and_other_methods_are_refused(api: Api) -> None:
    head = await api.ask("HEAD", EVENTS)
    post = await api.ask("POST", EVENTS)

    assert (head.status, head.headers["Content-Type"]) == (200, "text/event-stream")
    assert post.error == (405, "method_not_allowed")


async def test_any_accept_header_gets_the_stream(system: System, api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.token}", "Accept": "application/json"}
    async with api.http.get(f"{api.url}{EVENTS}", headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"


async def _raw(api: Api, head: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = URL(api.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"GET {EVENTS} {head}\r\nAuthorization: Bearer {api.token}\r\n\r\n".encode())
    return reader, writer


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
async def test_http_1_0_gets_a_stream_without_chunks(
    system: System, api: Api, connection: str
) -> None:
    reader, writer = await _raw(api, f"HTTP/1.0\r\nConnection: {connection}")
    async with asyncio.timeout(DEADLINE):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"\n\n")  # the id to begin with
        event = await tell(system, name := next(ids))
        body = await reader.readuntil(b"\n\n")
    writer.close()

    assert head.startswith(b"HTTP/1.0 200")
    assert b"chunked" not in head
    assert b"Connection: close" in head
    expected = f"id: {name}\nevent: {event['type']}\ndata: {json.dumps(event)}\n\n"
    assert body.decode() == expected


async def test_a_client_that_leaves_at_once_leaves_nothing_behind(
    system: System, api: Api, gateway: Program
) -> None:
    for head in ("HTTP/1.1\r\nHost: x", "HTTP/1.0"):
        for abrupt in (True, False):
            _, writer = await _raw(api, head)
            await writer.drain()
            if abrupt:
                writer.transport.abort()
            else:
                writer.close()
    for _ in range(2):
        async with streaming(api):
            pass

    async def open_streams() -> float | None:
        return (await scrape(system.http, api.url)).value("cancel_event_streams")

    # Before the next comment would find out.
    await eventually(open_streams, lambda number: number == 0, deadline=5)
    await gateway.event("request", count=3, path=EVENTS, status=200)
    assert not [event for event in gateway.events if event["level"] == "error"]
    assert not gateway.output


async def test_a_stream_ends_after_its_time_and_says_where_to_go_on(
    system: System, api: Api
) -> None:
    url = await system.gateway(event_stream_duration=1)
    short = Api(url, api.http, api.token)
    async with streaming(short, f"?run_id={next(run_ids)}") as stream:
        await tell(system, other := next(ids), next(run_ids))
        began = monotonic()
        while await stream.next() is not None:
            pass
        took = monotonic() - began

    assert 0.5 < took < 5
    async with streaming(short, last_id=stream.last_id) as again:
        assert await again.until(other) == [other]
