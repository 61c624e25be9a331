"""Dead letters that are moved back to work with tools of the broker, past the keeper."""

import json
from collections.abc import AsyncIterator
from itertools import count
from uuid import uuid4

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractIncomingMessage
from yarl import URL

from shared.commands import CANCEL_TYPE
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

run_ids = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """No keeper: the letters stay in their queue."""
    async with shared_system(services, template, tmp_path_factory.mktemp("moved")) as running:
        await running.worker()
        yield running


async def _buried(system: System, run_id: int) -> tuple[str, AbstractIncomingMessage]:
    """A letter after its last attempt, which is taken out of the queue of the dead by hand."""
    command_id = str(uuid4())
    await system.publish_raw(
        json.dumps({"command_id": command_id, "run_id": run_id}).encode(),
        type=CANCEL_TYPE,
        message_id=command_id,
        user_id=URL(system.amqp_url).user,
        headers={"x-attempt": 4, "x-publisher": "queue"},
    )
    letter = await system.dead_letter()
    assert letter.headers["x-reason"] == "unknown_run"
    return command_id, letter


async def _move(system: System, letter: AbstractIncomingMessage, *, with_user: bool) -> None:
    """Publish it to the work queue, as it is, or without what only its first user may say."""
    message = aio_pika.Message(
        letter.body,
        headers=letter.headers,
        type=letter.type,
        message_id=letter.message_id,
        user_id=letter.user_id if with_user else None,
    )
    await system.channel.default_exchange.publish(message, system.topology.cancel)


async def test_it_is_carried_out_as_a_replay(system: System) -> None:
    run_id = next(run_ids)
    command_id, letter = await _buried(system, run_id)
    await system.add_run(run_id)

    await _move(system, letter, with_user=True)

    row = await system.outcome_of(command_id)
    assert (row["outcome"], row["via"], row["publisher"]) == ("canceled", "replay", "queue")


async def test_without_its_user_it_is_carried_out_as_a_new_command(system: System) -> None:
    run_id = next(run_ids)
    command_id, letter = await _buried(system, run_id)
    await system.add_run(run_id)

    await _move(system, letter, with_user=False)

    row = await system.outcome_of(command_id)
    assert (row["outcome"], row["via"], row["publisher"]) == ("canceled", "direct", None)


async def test_it_gets_all_of_its_attempts_again(system: System) -> None:
    _, letter = await _buried(system, next(run_ids))
    queue = await system.channel.get_queue(system.topology.retry(1), ensure=False)

    await _move(system, letter, with_user=True)

    async with queue.iterator(no_ack=True, timeout=10) as retried:
        message = await anext(aiter(retried))
    assert (message.headers["x-attempt"], message.headers["x-replays"]) == (2, 1)
    assert not {"x-letter", "x-death"} & {*message.headers}
