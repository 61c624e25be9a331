"""The programs in docs/messages.md, run as they stand there, against a real worker."""

import asyncio
import json
import os
import sys
from uuid import UUID

import pytest
from yarl import URL

from shared.amqp.topology import Topology
from shared.commands import CANCEL_TYPE
from tests.support.broker.registrations import registered
from tests.support.repository.documents import code_block
from tools.support.processes import until_gone
from tools.support.program import DEADLINE
from tools.support.system import System

CLIENTS = {"aio-pika": "merge-queue", "pika": "deployer"}
"""And who each says it is."""
EXCHANGE = f'"{Topology().commands}"'


async def _run(system: System, client: str, *run_ids: int) -> tuple[int | None, str, str]:
    program = code_block(f"python {client}")
    # The tests' exchange has a name of its own. Nothing else is changed.
    assert program.count(EXCHANGE) == 1
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program.replace(EXCHANGE, f'"{system.topology.commands}"'),
        *map(str, run_ids),
        env={**os.environ, "AMQP_URL": system.amqp_url},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("client", CLIENTS)
async def test_it_cancels_a_running_run(system: System, client: str) -> None:
    await system.worker()
    _, mark = await system.launch_bad_child(1, "obeys")

    code, out, err = await _run(system, client, 1)

    assert (code, err) == (0, "")
    row = await system.outcome_of(str(UUID(out.strip())))
    assert (row["run_id"], row["outcome"]) == (1, "canceled")
    assert (await system.run(1))["status"] == "canceled"
    await until_gone(mark, deadline=0)
    recorded = (row["via"], row["publisher"], row["requested_by"])
    assert recorded == ("direct", URL(system.amqp_url).user, CLIENTS[client])


@pytest.mark.parametrize("client", CLIENTS)
async def test_what_it_publishes_is_what_the_document_asks_for(system: System, client: str) -> None:
    _, out, _ = await _run(system, client, 1)

    queue = await system.channel.get_queue(system.topology.cancel)
    message = await queue.get()
    await message.ack()
    assert message.delivery_mode == 2
    assert (message.type, message.content_type) == (CANCEL_TYPE, "application/json")
    assert message.message_id == out.strip()
    assert message.user_id == URL(system.amqp_url).user


@pytest.mark.parametrize("client", CLIENTS)
async def test_it_fails_when_no_queue_takes_the_command(system: System, client: str) -> None:
    await system.channel.queue_delete(system.topology.cancel)

    code, out, err = await _run(system, client, 1)

    assert (code, out) == (1, "")
    assert err.splitlines()[-1].split(":")[0].endswith(("PublishError", "UnroutableError"))


async def test_the_platforms_program_registers_many_runs(system: System) -> None:
    await system.worker()

    assert await _run(system, "registration", 1, 2, 3) == (0, "", "")

    for run_id in (1, 2, 3):
        row = await registered(system, run_id)
        assert (row["status"], json.loads(row["labels"])) == ("queued", {"branch": "main"})
