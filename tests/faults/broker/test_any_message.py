"""Ten thousand messages of every kind: each is recorded or becomes one dead letter, bytes kept."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from time import monotonic
from typing import Final

import aiormq
from aiormq import spec
from yarl import URL

from shared.amqp.keys import CANCEL_KEY
from tests.support.broker.any_message import AnyMessage, Fate, some_messages
from tools.support.program import Event, Program
from tools.support.rows import NEVER_STARTED, PASS, Row, insert_run
from tools.support.system import System

MESSAGES: Final = 10_000
QUEUED: Final = range(1, 201)
OVER: Final = range(201, 251)
BATCH: Final = 250
DEADLINE: Final = 60.0
OF_COMMANDS: Final = ("unknown_run", "command_reused")
"""Reasons of messages that are commands: one that is sent twice is one letter."""


async def test_each_of_ten_thousand_messages_is_recorded_or_becomes_one_dead_letter(
    system: System,
) -> None:
    user = URL(system.amqp_url).user or ""
    messages = await asyncio.to_thread(some_messages, MESSAGES, [*QUEUED, *OVER], user)
    await _insert(system, QUEUED, {"status": "queued"})
    await _insert(system, [*OVER][::2], PASS)
    await _insert(system, [*OVER][1::2], NEVER_STARTED)
    worker = await system.worker(keep_dead_letters="true")

    await _publish(system, messages)

    await _until_settled(system, worker, messages)
    dead = await _dead(system)
    commands = await _dead_commands(system)
    sent = Counter(message.kept for message in messages)
    assert dead <= sent, "a dead letter that nobody sent, or one more than was sent"
    recorded = sent - dead
    for body in commands:
        # Sent twice it is one letter all the same.
        del recorded[body]
    await _all_recorded(system, recorded)
    of_fate = {fate: {m.kept for m in messages if m.fate is fate} for fate in Fate}
    assert not of_fate[Fate.RECORDED] & {*dead}
    other = of_fate[Fate.DEAD] - of_fate[Fate.EITHER] - commands
    assert all(dead[body] == sent[body] for body in other)
    names = Counter(event["event"] for event in worker.events)
    assert (names["worker_ready"], names["consuming"], names["keeping_dead_letters"]) == (1, 1, 1)
    assert names["rabbitmq_disconnected"] == 0
    # What it still held would be back in a queue now.
    assert await worker.stop() == 0
    assert await _left(system) == 0


async def _insert(system: System, run_ids: Iterable[int], row: Row) -> None:
    await asyncio.gather(*(insert_run(system.database, run_id, row) for run_id in run_ids))


async def _publish(system: System, messages: list[AnyMessage]) -> None:
    """Without the conveniences of aio-pika, which reads what it sends."""
    connection = await aiormq.connect(system.amqp_url)
    channel = await connection.channel(publisher_confirms=True)
    for start in range(0, len(messages), BATCH):
        confirms = await asyncio.gather(
            *(
                channel.basic_publish(
                    message.body,
                    exchange=system.topology.commands,
                    routing_key=CANCEL_KEY,
                    properties=spec.Basic.Properties(**message.properties),
                    mandatory=True,
                )
                for message in messages[start : start + BATCH]
            )
        )
        assert all(isinstance(confirm, spec.Basic.Ack) for confirm in confirms)
    await connection.close()


async def _until_settled(system: System, worker: Program, messages: list[AnyMessage]) -> None:
    """Wait until as many were settled as were sent, and all dead ones are kept."""
    end = monotonic() + DEADLINE
    while True:
        assert worker.process.returncode is None, worker.log()[-5000:]
        names = Counter(event["event"] for event in worker.events)
        # Not by what the keeper took: a letter whose confirm was late is published twice.
        kept = await system.database.fetchval("SELECT count(*) FROM dead_letters")
        buried = [event for event in worker.events if event["event"] == "command_dead_lettered"]
        commands = [_command(event) for event in buried if event["reason"] in OF_COMMANDS]
        letters = len(buried) - len(commands) + len({*commands})
        all_settled = len(buried) + names["command_settled"] == len(messages)
        if all_settled and kept == letters and not await _left(system):
            return
        lost = [event for event in worker.events if event["event"] == "rabbitmq_disconnected"]
        assert monotonic() < end, f"{names}, {kept} kept, {await _left(system)} left, {lost}"
        await asyncio.sleep(0.05)  # a poll, until `end`


async def _left(system: System) -> int:
    topology = system.topology
    return sum([await system.depth(queue) for queue in topology.queues()])


def _command(event: Event) -> tuple[str, int, str]:
    return event["command_id"], event["run_id"], event["reason"]


async def _dead_commands(system: System) -> set[bytes]:
    rows = await system.database.fetch(
        "SELECT body FROM dead_letters WHERE reason = ANY ($1::text[])", OF_COMMANDS
    )
    return {bytes(row["body"]) for row in rows}


async def _dead(system: System) -> Counter[bytes]:
    return Counter(
        bytes(row["body"]) for row in await system.database.fetch("SELECT body FROM dead_letters")
    )


async def _all_recorded(system: System, bodies: Counter[bytes]) -> None:
    """Each command among `bodies` has one outcome for its run, and nothing else has any."""
    commands = [json.loads(body) for body in bodies]
    rows = await system.database.fetch("SELECT * FROM cancellations")
    recorded = {str(row["command_id"]): row for row in rows}
    assert {str(command["command_id"]).lower() for command in commands} == {*recorded}
    for command in commands:
        row = recorded[command["command_id"].lower()]
        assert row["run_id"] == command["run_id"]
        assert row["outcome"] in ("canceled", "no_op")
    canceled = [row["run_id"] for row in rows if row["outcome"] == "canceled"]
    assert len(canceled) == len({*canceled})
    for status, runs in (("canceled", {*canceled}), ("queued", {*QUEUED} - {*canceled})):
        found = await system.database.fetch("SELECT run_id FROM runs WHERE status = $1", status)
        assert runs <= {row["run_id"] for row in found}
