"""A policy takes commands out of their queues, or the queues themselves: what becomes of them."""

import json

import aio_pika
import pytest
from aio_pika.exceptions import DeliveryError

from shared.amqp.keys import CANCEL_KEY, QUEUED_KEY, REST_KEY
from shared.amqp.topology import DELIVERY_LIMIT, Topology
from shared.registrations import QUEUED_TYPE
from tests.support.broker.managed import ManagedBroker, VirtualHost
from tools.support.system import System
from tools.support.waiting import eventually

_NAMES = Topology()
_INTAKE = r"^runs\.(cancel|cancel\.rest|queued)$"
_SOON = 200
_NEVER = 600_000
"""Milliseconds."""


async def test_commands_that_expired_are_dead_letters_that_a_replay_carries_out(
    system: System, virtual_host: VirtualHost
) -> None:
    await virtual_host.set_policy("old-ones", _INTAKE, message_ttl=_SOON)
    await system.add_run(1)
    await system.add_run(2)
    ids = [await system.publish(1), await system.publish(2, key=REST_KEY)]
    await system.publish_raw(b'{"run_id": 3}', QUEUED_KEY, type=QUEUED_TYPE)
    await eventually(lambda: system.depth(_NAMES.dead), lambda depth: depth == 3)
    await virtual_host.remove_policy("old-ones")

    worker = await system.worker(keep_dead_letters="true")
    found = await worker.event("dead_letter_found", reason="expired", count=3)
    assert "the message-ttl that a policy sets" in found["error"]
    _, out, _ = await system.cli("worker", "dead-letters", "list", "--reason", "expired", "--json")
    letters = sorted(json.loads(out), key=lambda letter: letter["run_id"])
    assert [letter["run_id"] for letter in letters] == [1, 2, 3]
    assert [letter["command_id"] for letter in letters] == [*ids, None]

    code, out, err = await system.cli(
        "worker", "dead-letters", "replay", "--reason", "expired", "--wait", "20"
    )

    assert code == 0, (out, err)
    for command_id in ids:
        assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    assert (await system.run(3))["status"] == "queued"


@pytest.mark.parametrize("by_policy", [False, True])
async def test_an_expiration_of_the_publisher_is_named_beside_a_policy_that_may_set_less(
    system: System, virtual_host: VirtualHost, by_policy: bool
) -> None:
    """By the message that RabbitMQ delivers, the two cannot be told apart."""
    own = _SOON
    if by_policy:
        await virtual_host.set_policy("old-ones", _INTAKE, message_ttl=_SOON)
        own = _NEVER
    message = aio_pika.Message(b'{"run_id": 1}', expiration=own / 1000)
    exchange = await system.channel.get_exchange(_NAMES.commands, ensure=False)
    await exchange.publish(message, CANCEL_KEY)
    await eventually(lambda: system.depth(_NAMES.dead))

    worker = await system.worker(keep_dead_letters="true")

    found = await worker.event("dead_letter_found", reason="expired")
    assert found["error"].endswith(f"the expiration of its publisher, {own} ms, or within less")
    await system.add_run(1)
    _, shown, _ = await system.cli("worker", "runs", "show", "1")
    assert "have its publisher set no expiration, and look for a policy" in shown


async def test_what_a_full_queue_drops_is_a_dead_letter(
    system: System, virtual_host: VirtualHost
) -> None:
    await virtual_host.set_policy("short", _INTAKE, max_length=1, overflow="drop-head")
    await eventually(lambda: virtual_host.policy_of(_NAMES.cancel), lambda name: name == "short")
    first, last = await system.publish(1), await system.publish(2)
    await eventually(lambda: system.depth(_NAMES.dead))

    worker = await system.worker(keep_dead_letters="true")

    found = await worker.event("dead_letter_found", reason="maxlen")
    assert (found["command_id"], found["run_id"]) == (first, 1)
    assert "limits the length of the queue" in found["error"]
    await worker.event("command_retried", command_id=last, reason="unknown_run")


async def test_without_a_limit_for_them_dead_letters_outlive_any_number_of_deliveries(
    system: System, virtual_host: VirtualHost, managed: ManagedBroker
) -> None:
    """RabbitMQ 4 has a limit by default; earlier versions have none, and refuse this policy."""
    if managed.is_older_than(4):
        pytest.skip("no limit by default")
    await virtual_host.set_policy("all-deliveries", r"^runs\.", delivery_limit=-1)
    await eventually(
        lambda: virtual_host.policy_of(_NAMES.dead), lambda name: name == "all-deliveries"
    )
    await system.publish(1)
    # The queue's own limit holds all the same.
    await _return(system, _NAMES.cancel, DELIVERY_LIMIT + 1)
    await eventually(lambda: system.depth(_NAMES.dead))

    await _return(system, _NAMES.dead, 2 * DELIVERY_LIMIT)

    await eventually(lambda: system.depth(_NAMES.dead), lambda depth: depth == 1)


async def _return(system: System, queue_name: str, times: int) -> None:
    """Have a message delivered, and return it."""
    queue = await system.channel.get_queue(queue_name, ensure=False)
    for _ in range(times):
        message = await eventually(lambda: queue.get(fail=False), lambda it: it is not None)
        assert message is not None
        await message.nack(requeue=True)


async def test_a_queue_that_is_only_limited_refuses_and_drops_nothing(
    system: System, virtual_host: VirtualHost
) -> None:
    await virtual_host.set_policy("short", _INTAKE, max_length=1)
    await eventually(lambda: virtual_host.policy_of(_NAMES.cancel), lambda name: name == "short")

    with pytest.raises(DeliveryError):
        for run_id in range(1, 10):
            await system.publish(run_id)

    assert await system.depth(_NAMES.cancel) >= 1
    assert await system.depth(_NAMES.dead) == 0


async def test_what_expired_in_a_queue_of_another_application_is_foreign(system: System) -> None:
    theirs = await system.channel.declare_queue(
        "theirs",
        arguments={"x-message-ttl": 1, "x-dead-letter-exchange": _NAMES.dead_exchange},
    )
    await system.channel.default_exchange.publish(aio_pika.Message(b"theirs"), theirs.name)

    worker = await system.worker(keep_dead_letters="true")

    found = await worker.event("dead_letter_found", reason="foreign")
    assert found["error"] == "dead-lettered by queue theirs: expired"


async def test_queues_that_expire_are_declared_again(
    system: System, virtual_host: VirtualHost
) -> None:
    """The retry queues have no consumers, so they go while workers are up."""
    worker = await system.worker()
    await virtual_host.set_policy("unused", ".*", expires=_SOON)
    retry = _NAMES.retry(1)
    await eventually(lambda: virtual_host.has_queue(retry), lambda there: not there)
    await virtual_host.remove_policy("unused")

    command_id = await system.publish(1)

    # It was in the queue that was declared again.
    await worker.event("command_retried", command_id=command_id, attempt=2)
