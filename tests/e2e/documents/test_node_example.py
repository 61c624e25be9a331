"""Services in Node.js: the program in docs/messages.md as it stands there, and a consumer."""

import json
from pathlib import Path
from typing import Final

import pytest
from yarl import URL

from shared.amqp.topology import Topology
from tests.support.broker.event_schemas import check_event
from tests.support.programs.node import install_amqplib, start_node
from tests.support.repository.documents import code_block
from tools.support.processes import until_gone
from tools.support.system import System

EXCHANGE: Final = f'"{Topology().commands}"'
CONSUMER: Final = """
import amqp from "amqplib";

const [exchange, count] = process.argv.slice(2);
const connection = await amqp.connect(process.env.AMQP_URL);
const channel = await connection.createChannel();
const { queue } = await channel.assertQueue("", { exclusive: true, maxLength: 1000 });
await channel.bindQueue(queue, exchange, "run.finished");
await channel.bindQueue(queue, exchange, "cancel.settled");
let left = Number(count);
await channel.consume(queue, (message) => {
  console.log(message.content.toString());
  channel.ack(message);
  if (--left === 0) setTimeout(() => connection.close());
});
console.log("ready");
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_amqplib(tmp_path_factory.mktemp("node"))


async def _run(system: System, directory: Path, run_id: int) -> tuple[int | None, str, str]:
    program = code_block("js amqplib")
    # The tests' exchange has a name of its own. Nothing else is changed.
    assert program.count(EXCHANGE) == 1
    program = program.replace(EXCHANGE, f'"{system.topology.commands}"')
    node = await start_node(directory, program, str(run_id), AMQP_URL=system.amqp_url)
    return await node.end()


async def test_it_cancels_a_running_run_and_prints_the_outcome(
    system: System, directory: Path
) -> None:
    await system.worker()
    _, mark = await system.launch_bad_child(1, "obeys")

    assert await _run(system, directory, 1) == (0, "canceled\n", "")

    await until_gone(mark, deadline=0)
    (row,) = await system.cancellations(1)
    recorded = (row["via"], row["publisher"], row["requested_by"])
    assert recorded == ("direct", URL(system.amqp_url).user, "review-bot")
    assert row["faults"] == "{}"


async def test_it_prints_why_a_command_was_not_carried_out(system: System, directory: Path) -> None:
    await system.worker(keep_dead_letters=True)

    # Not an integer that the worker takes.
    code, out, err = await _run(system, directory, 0)

    assert (code, err) == (0, "")
    assert out.startswith("malformed: run_id: ")


async def test_it_fails_when_no_queue_takes_the_command(system: System, directory: Path) -> None:
    await system.channel.queue_delete(system.topology.cancel)

    code, out, err = await _run(system, directory, 1)

    assert (code, out) == (1, "")
    assert "no queue takes the command" in err


async def test_a_consumer_hears_what_happens(system: System, directory: Path) -> None:
    await system.worker()
    await system.add_run(1)
    consumer = await start_node(
        directory, CONSUMER, system.topology.events, "2", AMQP_URL=system.amqp_url
    )
    assert await consumer.line() == "ready"

    command_id = await system.publish(1)
    events = [json.loads(await consumer.line()) for _ in range(2)]

    assert await consumer.end() == (0, "", "")
    for event in events:
        check_event(event)
    assert command_id in {event["data"].get("command_id") for event in events}
