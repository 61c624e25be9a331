"""A publisher that waits by direct reply-to is told the outcome, and nobody else is sent any."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from aio_pika import Message
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue, DeliveryMode
from yarl import URL

from shared.events import CONTENT_TYPE
from tests.support.broker.any_message import Raw
from tests.support.broker.asker import DIRECT, Asker, asking
from tests.support.broker.event_listener import event_in, until_told
from tests.support.records.letters import dead_letters, latest
from tools.support.program import Program
from tools.support.rows import PASS, insert_run
from tools.support.system import System

IGNORED: Final = {"reply_to": "Not RabbitMQ's direct reply-to, and was ignored"}
# RabbitMQ 3.10 closes the connection on which something is published to such an address.
BROKEN: Final = f"{DIRECT}.!!.x"


@pytest.fixture
async def worker(system: System) -> Program:
    return await system.worker(keep_dead_letters=True, host_heartbeat=0.5)


@pytest.fixture
async def asker(system: System, worker: Program) -> AsyncIterator[Asker]:
    async with asking(system) as asker:
        yield asker


async def faults_of(system: System, command_id: str) -> object:
    return json.loads((await system.outcome_of(command_id))["faults"])


def outcome_in(reply: AbstractIncomingMessage) -> tuple[str, str]:
    data = event_in(reply)["data"]
    return data["command_id"], data["outcome"]


async def test_the_outcome_is_the_reply(system: System, asker: Asker) -> None:
    await system.add_run(1)

    command_id = await asker.ask(1, correlation_id="request-1")

    reply = await asker.reply()
    assert reply.correlation_id == "request-1"
    assert (reply.type, reply.content_type) == ("ci.cancel.settled.v1", CONTENT_TYPE)
    assert reply.delivery_mode is DeliveryMode.NOT_PERSISTENT
    assert outcome_in(reply) == (command_id, "canceled")
    assert await faults_of(system, command_id) == {}


async def test_it_comes_at_the_end_of_a_stop(system: System, asker: Asker) -> None:
    await system.launch_bad_child(1, "obeys")

    command_id = await asker.ask(1)

    event = event_in(await asker.reply())
    assert (event["data"]["command_id"], event["data"]["ended"]) == (command_id, "obeyed")


async def test_it_comes_after_a_retry(system: System, worker: Program, asker: Asker) -> None:
    command_id = await asker.ask(1, correlation_id="request-1")
    await worker.event("command_retried")
    await system.add_run(1)

    reply = await asker.reply()

    assert (reply.correlation_id, outcome_in(reply)) == ("request-1", (command_id, "canceled"))


async def test_a_command_that_becomes_a_dead_letter_is_answered(
    system: System, asker: Asker
) -> None:
    command_id = await asker.ask(1, type="ci.run.cancel.v9", correlation_id="request-1")

    reply = await asker.reply()

    event = event_in(reply)
    letter = await system.dead_letter_kept(command_id)
    assert (reply.correlation_id, event["type"]) == ("request-1", "ci.cancel.rejected.v1")
    assert event["data"]["reason"] == "unknown_version"
    assert event["data"]["letter_id"] == letter["letter_id"]


async def test_who_repeats_a_command_whose_letter_is_waiting_is_answered_again(
    system: System, asker: Asker
) -> None:
    own: dict[str, Any] = {
        "user_id": URL(system.amqp_url).user,
        "headers": {"x-attempt": 4, "x-via": "direct"},
    }
    command_id = await asker.ask(1, **own)
    first = event_in(await asker.reply())

    await asker.ask(1, command_id=command_id, correlation_id="again", **own)

    reply = await asker.reply()
    assert (reply.correlation_id, event_in(reply)["data"]) == ("again", first["data"])
    assert first["data"]["reason"] == "unknown_run"
    assert await system.database.fetchval("SELECT count(*) FROM dead_letters") == 1


async def test_a_replayed_letter_is_answered_again(system: System, asker: Asker) -> None:
    await system.add_run(1)
    command_id = await asker.ask(1, type="ci.run.cancel.v9")
    letter_id = event_in(await asker.reply())["data"]["letter_id"]
    await system.database.execute("UPDATE dead_letters SET type = 'ci.run.cancel.v1'")

    code, _, err = await dead_letters(system, "replay", str(letter_id))

    assert code == 0, err
    assert outcome_in(await asker.reply()) == (command_id, "canceled")


async def test_who_repeats_a_settled_command_is_told_its_outcome_again(
    system: System, asker: Asker
) -> None:
    await system.add_run(1)
    command_id = await asker.ask(1)
    first = event_in(await asker.reply())

    await asker.ask(1, command_id=command_id, correlation_id="again")

    reply = await asker.reply()
    again = event_in(reply)
    assert reply.correlation_id == "again"
    assert again["data"] == first["data"]
    assert again["id"] == command_id
    assert "sequence" not in again


async def test_who_repeats_an_open_command_is_answered_at_its_new_address(
    system: System, worker: Program, asker: Asker
) -> None:
    await system.launch_bad_child(1, "ignores_term")
    command_id = await asker.ask(1)
    await worker.event("command_open", command_id=command_id)
    async with asking(system) as other:
        await other.ask(1, command_id=command_id, correlation_id="again")
        await worker.event("command_open", command_id=command_id, count=2)
        await system.publish(1, force=True)

        reply = await other.reply()

    assert (reply.correlation_id, outcome_in(reply)) == ("again", (command_id, "canceled"))


async def test_who_has_gone_is_not_waited_for(system: System, asker: Asker) -> None:
    await system.add_run(1)
    async with asking(system) as gone:
        command_id = await gone.ask(7)
    await system.add_run(7)
    await system.outcome_of(command_id)

    await asker.ask(1)

    assert outcome_in(await asker.reply())[1] == "canceled"


async def victim_of(system: System) -> AbstractQueue:
    return await system.channel.declare_queue(f"{system.prefix}victim", exclusive=True)


async def test_somebody_elses_queue_gets_nothing_and_that_is_noted(
    system: System, asker: Asker
) -> None:
    queue = await victim_of(system)
    for run_id in (1, 2):
        await system.add_run(run_id)

    command_id = await asker.ask(1, reply_to=queue.name)
    assert await faults_of(system, command_id) == IGNORED
    await asker.ask(1, command_id=command_id, reply_to=queue.name)
    await asker.ask(2)
    await asker.reply()

    assert await queue.get(fail=False) is None
    _, shown, _ = await system.cli("worker", "runs", "show", "1")
    assert f"reply_to: {IGNORED['reply_to']}" in shown


@pytest.mark.parametrize("headers", [{"x-attempt": 2, "x-via": "direct"}, {"x-letter": "mine"}])
async def test_not_even_a_user_whose_headers_are_trusted_can_name_a_queue(
    system: System, asker: Asker, headers: dict[str, Any]
) -> None:
    queue = await victim_of(system)
    for run_id in (1, 2):
        await system.add_run(run_id)

    command_id = await asker.ask(
        1, reply_to=queue.name, user_id=URL(system.amqp_url).user, headers=headers
    )
    assert await faults_of(system, command_id) == IGNORED
    await asker.ask(2)
    await asker.reply()

    assert await queue.get(fail=False) is None


async def test_that_it_was_ignored_is_noted_after_a_retry_too(
    system: System, worker: Program, asker: Asker
) -> None:
    command_id = await asker.ask(1, reply_to="somebody.elses")
    await worker.event("command_retried")
    await system.add_run(1)

    assert await faults_of(system, command_id) == IGNORED


async def test_a_dead_letter_cannot_name_a_queue(system: System, asker: Asker) -> None:
    queue = await victim_of(system)
    await system.add_run(1)
    body = b'{"command_id": "00000000-0000-0000-0000-000000000007", "run_id": 1}'
    message = Message(
        body,
        reply_to=queue.name,
        type="ci.run.cancel.v1",
        user_id=URL(system.amqp_url).user,
        headers={"x-letter": "mine", "x-reason": "unknown_run", "x-error": "it was so"},
    )
    dead = await system.channel.get_exchange(system.topology.dead_exchange, ensure=False)
    await dead.publish(message, "any")
    letter = await latest(system, "run_id", 1)
    assert letter["reply_to"] is None

    code, _, err = await dead_letters(system, "replay", str(letter["letter_id"]))
    assert code == 0, err
    await system.outcome_of("00000000-0000-0000-0000-000000000007")
    await asker.ask(1)
    await asker.reply()

    assert await queue.get(fail=False) is None


async def test_not_even_a_row_of_the_outbox_can_name_a_queue(system: System, asker: Asker) -> None:
    queue = await victim_of(system)
    await system.add_run(1)
    await system.database.execute(
        "INSERT INTO outbox (type, run_id, data, reply_to) VALUES ('cancel.settled', 7, '{}', $1)",
        queue.name,
    )
    await until_told(system)
    await asker.ask(1)
    await asker.reply()

    assert await queue.get(fail=False) is None


async def test_an_address_that_breaks_a_connection_costs_others_no_reply(
    system: System, worker: Program, asker: Asker
) -> None:
    for run_id in range(1, 12):
        await system.add_run(run_id)
    unanswered = set()

    for run_id in range(1, 11):
        unanswered.add(await asker.ask(run_id))
        await asker.ask(11, reply_to=BROKEN)

    while unanswered:  # one that was in flight may come twice
        unanswered.discard(outcome_in(await asker.reply())[0])
    assert {
        event["connection"].rpartition(" ")[2]
        for event in worker.events
        if event["event"] == "rabbitmq_disconnected"
    } <= {"replies"}


@pytest.mark.parametrize("kind", ["ci.run.cancel.v1", "ci.run.cancel.v9"])
@pytest.mark.parametrize(
    ("sent", "received"),
    [("a\0b", "a\ufffdb"), (Raw("ff" * 255), "\ufffd" * 85)],
    ids=["NUL", "not UTF-8"],
)
async def test_a_correlation_id_that_cannot_be_stored_blocks_nothing(
    system: System, asker: Asker, kind: str, sent: str, received: str
) -> None:
    await insert_run(system.database, 1, PASS)

    command_id = await asker.ask(1, correlation_id=sent, type=kind)

    reply = await asker.reply()
    assert reply.correlation_id in (received, sent)
    assert event_in(reply)["data"]["command_id"] == command_id
