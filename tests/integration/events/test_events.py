"""What is told of a run, from its registration to its end, and of a message that is rejected."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from statistics import quantiles
from typing import Any
from uuid import uuid4

import pika
import pytest
from aio_pika import Message
from yarl import URL

from tests.support.broker.event_listener import Json, listening, until_told
from tests.support.records.letters import latest
from tests.support.stops.powerless import MODULE, environment, powerless
from tools.support.system import System
from tools.support.waiting import eventually

LABELED = """
    INSERT INTO runs (run_id, labels, url, start_before)
    VALUES ($1, '{"branch": "main"}', 'https://ci.example/1', '2126-01-01T00:00:00Z')
"""


def types(events: list[Json]) -> list[str]:
    return [event["type"].removeprefix("ci.").removesuffix(".v1") for event in events]


async def test_each_step_of_a_run_is_told_in_its_order(system: System) -> None:
    await system.worker(host_heartbeat=0.2)
    async with listening(system, "#") as listener:
        await system.database.execute(LABELED, 1)
        launched = await system.launch(1, "sleep", "60")
        await system.status_becomes(1, "running")
        await system.publish(1, reason="old")
        await launched.exit_code()
        events = await listener.take(5)

    assert types(events) == [
        "run.registered",
        "run.started",
        "run.canceling",
        "run.finished",
        "cancel.settled",
    ]
    assert {event["subject"] for event in events} == {"1"}
    sequences = [event["sequence"] for event in events]
    assert sequences == sorted(sequences)
    assert {len(sequence) for sequence in sequences} == {20}
    registered, started, canceling, finished, _ = (event["data"] for event in events)
    assert registered["labels"] == finished["labels"] == {"branch": "main"}
    assert registered["url"] == finished["url"] == "https://ci.example/1"
    assert datetime.fromisoformat(registered["start_before"]) == datetime(2126, 1, 1, tzinfo=UTC)
    assert started == {"run_id": 1, "host": system.host}
    assert canceling["host"] == system.host
    assert datetime.fromisoformat(canceling["stop_deadline"]) > datetime.now(UTC)
    assert (finished["ended"], finished["status"]) == ("obeyed", "canceled")


async def test_a_start_and_the_begin_of_a_stop_are_told_before_the_end(system: System) -> None:
    await system.worker(host_heartbeat=60)
    async with listening(system, "run.started", "run.canceling") as listener:
        await system.launch_bad_child(1, "ignores_term")
        (started,) = await listener.take(1)
        await system.publish(1)
        (canceling,) = await listener.take(1)

        assert types([started, canceling]) == ["run.started", "run.canceling"]
        assert (await system.run(1))["status"] == "canceling"


@pytest.mark.parametrize(
    ("body", "kind", "reason", "subject"),
    [
        (b"{", "ci.run.cancel.v1", "malformed", None),
        (b'{"run_id": 7}', "ci.run.cancel.v1", "malformed", "7"),
        (b'{"run_id": 7}', "something.else", "unknown_type", "7"),
        (b'{"run_id": 0}', "ci.run.cancel.v2", "unknown_version", None),
    ],
)
async def test_a_message_that_is_no_command_is_told_as_rejected(
    system: System, body: bytes, kind: str, reason: str, subject: str | None
) -> None:
    await system.worker(keep_dead_letters=True, host_heartbeat=60)
    async with listening(system, "#") as listener:
        await system.publish_raw(body, type=kind)
        (event,) = await listener.take(1)

    letter = await latest(system, "reason", reason)
    assert event["type"] == "ci.cancel.rejected.v1"
    assert event.get("subject") == subject
    assert event["data"]["letter_id"] == letter["letter_id"]
    assert event["data"]["reason"] == reason
    assert event["data"]["error"] == letter["error"]
    await until_told(system)


async def test_a_command_on_an_unknown_run_is_told_after_its_last_retry(system: System) -> None:
    worker = await system.worker(keep_dead_letters=True)
    async with listening(system, "#") as listener:
        command_id = await system.publish(7)
        await worker.event("command_retried")
        assert await listener.rest() == []
        await _at_last_retry(system, command_id)
        (event,) = await listener.take(1)

    assert event["type"] == "ci.cancel.rejected.v1"
    assert (event["subject"], event["data"]["command_id"]) == ("7", command_id)
    assert event["data"]["reason"] == "unknown_run"


async def _at_last_retry(system: System, command_id: str) -> None:
    await system.publish_raw(
        json.dumps({"command_id": command_id, "run_id": 7}).encode(),
        type="ci.run.cancel.v1",
        user_id=URL(system.amqp_url).user,
        headers={"x-attempt": 4},
    )


async def test_a_stop_that_fails_is_told_as_settled_and_as_rejected(system: System) -> None:
    with powerless(system):
        await system.worker(
            module=MODULE,
            env=environment(system),
            kill_wait=0.3,
            host_heartbeat=0.2,
            keep_dead_letters=True,
        )
        await system.launch_bad_child(1, "ignores_term")
        async with listening(system, "cancel.#") as listener:
            command_id = await system.publish(1, force=True)
            settled, rejected = await listener.take(2)

    assert types([settled, rejected]) == ["cancel.settled", "cancel.rejected"]
    assert settled["data"]["outcome"] == rejected["data"]["reason"] == "stop_failed"
    assert settled["data"]["command_id"] == rejected["data"]["command_id"] == command_id
    assert settled["sequence"] < rejected["sequence"]


async def test_an_event_without_a_run_waits_for_no_other_one(system: System) -> None:
    worker = await system.worker(keep_dead_letters=True, host_heartbeat=60)
    full = await system.channel.declare_queue(
        exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    await full.bind(system.topology.events, "cancel.rejected")
    for body in (b"1", b"2"):  # the first one fills it, the second one is declined
        await system.publish_raw(body, type="ci.run.cancel.v1")
    await worker.event("events_declined")
    await full.purge()

    async with listening(system, "cancel.rejected") as listener:
        await system.publish_raw(b"3", type="ci.run.cancel.v1")
        letter = await latest(system, "body", r"\x33")
        # The second one is tried again after 10 s.
        async with asyncio.timeout(5):
            (event,) = await listener.take(1)

    assert event["data"]["letter_id"] == letter["letter_id"]


@pytest.mark.alone
async def test_under_a_steady_load_events_arrive_within_a_tenth_of_a_second_or_so(
    system: System,
) -> None:
    await system.worker(host_heartbeat=60)
    number = 150
    await system.database.execute(
        "INSERT INTO runs (run_id) SELECT n FROM generate_series(1, $1::int) n", number
    )
    late: list[float] = []
    queue = await system.channel.declare_queue(exclusive=True)
    await queue.bind(system.topology.events, "cancel.settled")
    done = asyncio.Event()

    async def heard(message: Any) -> None:
        written = datetime.fromisoformat(json.loads(message.body)["time"])
        late.append((datetime.now(UTC) - written).total_seconds())
        if len(late) == number:
            done.set()

    await queue.consume(heard, no_ack=True)
    for run_id in range(1, number + 1):
        await system.publish(run_id)
        await asyncio.sleep(0.01)  # the load is steady
    async with asyncio.timeout(10):
        await done.wait()

    assert quantiles(late, n=20)[18] < 0.15


class Lock:
    """The lock of a run, held by a transaction."""

    def __init__(self, system: System, connection: Any) -> None:
        self._system = system
        self._connection = connection

    async def take(self, run_id: int) -> None:
        """Raises LockNotAvailableError if somebody has it."""
        query = "SELECT FROM runs WHERE run_id = $1 FOR UPDATE NOWAIT"
        await self._connection.execute(query, run_id)

    async def blocks(self) -> bool:
        """Whether somebody waits for it."""
        pid = await self._connection.fetchval("SELECT pg_backend_pid()")
        query = "SELECT true FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"
        return bool(await self._system.database.fetchval(query, pid))


@asynccontextmanager
async def locking(system: System, run_id: int) -> AsyncIterator[Lock]:
    async with system.database.acquire() as connection, connection.transaction():
        lock = Lock(system, connection)
        await lock.take(run_id)
        yield lock


async def test_dead_letters_are_kept_in_the_order_in_which_runs_are_locked(
    system: System,
) -> None:
    for run_id in (1, 2, 3):
        await system.add_run(run_id)
    dead = await system.channel.get_exchange(system.topology.dead_exchange, ensure=False)
    async with listening(system, "cancel.rejected") as listener:
        async with locking(system, 2) as two:
            async with locking(system, 1) as one:
                await system.worker(keep_dead_letters=True)
                for run_id in (1, 3, 2):
                    body = {"command_id": str(uuid4()), "run_id": run_id}
                    await dead.publish(Message(json.dumps(body).encode()), "any")
                # The others arrive while the first one waits, and are kept together.
                await eventually(one.blocks)
            await eventually(two.blocks)
            await two.take(3)
        events = await listener.take(3)

    assert {event["subject"] for event in events} == {"1", "2", "3"}


async def test_a_consumer_in_pika_reads_them(system: System) -> None:
    await system.worker()
    await system.add_run(1)

    def consume(ready: asyncio.Event, loop: asyncio.AbstractEventLoop) -> Json:
        with pika.BlockingConnection(pika.URLParameters(system.amqp_url)) as connection:
            channel = connection.channel()
            queue = channel.queue_declare("", exclusive=True).method.queue
            channel.queue_bind(queue, system.topology.events, "cancel.settled")
            loop.call_soon_threadsafe(ready.set)
            for method, properties, body in channel.consume(queue, inactivity_timeout=20):
                assert method is not None, "no event came"
                assert properties.content_type == "application/cloudevents+json"
                channel.basic_ack(method.delivery_tag)
                event: Json = json.loads(body)
                return event
        raise AssertionError

    ready = asyncio.Event()
    consuming = asyncio.create_task(asyncio.to_thread(consume, ready, asyncio.get_running_loop()))
    async with asyncio.timeout(20):
        await ready.wait()
    command_id = await system.publish(1)

    event = await consuming
    assert event["data"]["command_id"] == command_id
